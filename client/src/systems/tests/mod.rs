mod kubernetes;
