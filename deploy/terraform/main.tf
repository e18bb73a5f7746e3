# A plan that fails unless what it builds upon is what was recorded: here the network's directory,
# and this configuration's own files. cairn and its context are those of whoever plans.

terraform {
  required_providers {
    external = {
      source  = "hashicorp/external"
      version = "~> 2.3"
    }
  }
}

variable "environment" {
  description = "Where the release is recorded"
  type        = string
  default     = "prod/eu-1/net"
}

variable "verify" {
  description = "What is compared with it, as `cairn verify` takes it"
  type        = list(string)
  default     = ["--terraform=live:../net"]
}

data "external" "cairn" {
  program = concat(["${path.module}/cairn-verify.sh", var.environment], var.verify)
}

# What waits for the verdict says so.
resource "terraform_data" "verified" {
  input = data.external.cairn.result.verdict
}
