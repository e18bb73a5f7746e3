//! Asking the tool: its backend, its credentials and its variables are the caller's.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    sources::{SourceError, shown},
    systems::tool::{PrivateFolder, Said, Tool},
};

/// How long a refresh may take: it asks the providers for every resource.
const REFRESH_PATIENCE: Duration = Duration::from_mins(30);
/// The fork, which alone reads what it wrote.
const FORK: &str = "tofu";
/// How a plan warns that it was made of some resources alone.
const TARGETED: &[u8] = b"Resource targeting is in effect";

/// The tool in a directory.
pub(super) struct Runner {
    program: &'static str,
    chdir: String,
}

/// A refresh-only plan, as `show -json` has it.
pub(super) struct Refreshed {
    pub(super) plan: Vec<u8>,
    /// Whether it is of some resources alone.
    pub(super) targeted: bool,
    /// What went wrong on the way, if the plan says that something did.
    pub(super) failure: SourceError,
}

impl Runner {
    /// Whichever of Terraform and its fork is installed; the fork, where the directory is its.
    pub(super) fn new(directory: &Path) -> Result<Self, SourceError> {
        let text = directory.to_str().ok_or_else(|| SourceError::Name {
            path: shown(directory),
        })?;
        let programs: &[_] = if is_of_fork(directory) {
            &[FORK]
        } else {
            &["terraform", FORK]
        };
        let installed = |program: &&&'static str| {
            let said = Tool::new(program, &["version"]).run();
            !matches!(said, Err(SourceError::NoTool { .. }))
        };
        let program = programs.iter().find(installed);
        let program = program.ok_or_else(|| SourceError::NoTool {
            tool: programs.join(" or "),
        })?;
        Ok(Self {
            program,
            chdir: format!("-chdir={text}"),
        })
    }

    fn run(&self, arguments: &[&str], patience: Duration) -> Result<Said, SourceError> {
        let mut all = vec![self.chdir.as_str()];
        all.extend_from_slice(arguments);
        let tool = Tool::new(self.program, &all);
        let tool = tool
            .with("CHECKPOINT_DISABLE", "1")
            .with("TF_IN_AUTOMATION", "1")
            .with("TF_INPUT", "0");
        tool.patient(patience).run()
    }

    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, SourceError> {
        let said = self.run(arguments, REFRESH_PATIENCE)?;
        let complaint = said.complaint.clone();
        said.output().map_err(|error| explained(error, &complaint))
    }

    /// The raw state; empty where nothing was applied yet.
    pub(super) fn pull(&self) -> Result<Vec<u8>, SourceError> {
        self.output(&["state", "pull"])
    }

    /// What a raw plan or state says, as JSON.
    pub(super) fn show(&self, raw: &[u8]) -> Result<Vec<u8>, SourceError> {
        let folder = PrivateFolder::new()?;
        let path = folder.path().join("shown");
        let failed = |error| SourceError::unreadable(&path, error);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let mut file = file.open(&path).map_err(failed)?;
        file.write_all(raw).map_err(failed)?;
        self.show_file(&path)
    }

    fn show_file(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let text = path
            .to_str()
            .ok_or_else(|| SourceError::Name { path: shown(path) })?;
        self.output(&["show", "-no-color", "-json", text])
    }

    /// Has the providers read everything again. Nothing is written, no lock taken. What it ends
    /// with says whether something changed, or nothing at all: the plan tells.
    pub(super) fn refresh(&self) -> Result<Refreshed, SourceError> {
        let folder = PrivateFolder::new()?;
        let path = folder.path().join("plan");
        let out = path
            .to_str()
            .ok_or_else(|| SourceError::Name { path: shown(&path) })?;
        let out = format!("-out={out}");
        let arguments = [
            "plan",
            "-refresh-only",
            "-lock=false",
            "-input=false",
            "-no-color",
            &out,
        ];
        let said = self.run(&arguments, REFRESH_PATIENCE)?;
        let failure = explained(said.failure(), &said.complaint);
        if matches!(failure, SourceError::Unreachable { .. }) || !path.exists() {
            return Err(failure);
        }
        let mut lines = said.output.split(|byte| *byte == b'\n');
        Ok(Refreshed {
            plan: self.show_file(&path)?,
            targeted: lines.any(|line| line.ends_with(TARGETED)),
            failure,
        })
    }
}

fn is_of_fork(directory: &Path) -> bool {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = names.map(|entry| PathBuf::from(entry.file_name()));
    let lock = fs::read_to_string(directory.join(".terraform.lock.hcl"));
    lock.is_ok_and(|lock| lock.contains("registry.opentofu.org/"))
        || names.any(|name| name.to_string_lossy().contains(".tofu"))
}

/// The tool's own words for what is wrong, instead of the last line of their explanation.
fn explained(error: SourceError, complaint: &str) -> SourceError {
    let lines = complaint.split("\\n");
    let said = lines.filter_map(|line| line.split_once("Error: "));
    match (error, said.map(|(_, why)| why).next()) {
        (SourceError::Tool { tool, .. }, Some(why)) => SourceError::Tool {
            tool,
            why: why.trim().to_owned(),
        },
        (error, _) => error,
    }
}
