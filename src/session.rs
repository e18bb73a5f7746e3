//! What most commands need: the home directory, the context, a ledger, signing keys.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_client::{
    context::{Context, Contexts},
    home::Home,
    keys::{self, AskPassphrase, KeySpec},
    ledger::Ledger,
    trust,
};
use cairn_proto::{key::Signer, reason::Reason};
use zeroize::Zeroizing;

use crate::{
    cli::Global,
    failure::{Failure, is_of_other_keys},
    output::{Output, complain},
};

/// One run of the program.
pub(crate) struct Session {
    pub(crate) home: Home,
    pub(crate) output: Output,
    context: Option<String>,
    no_input: bool,
    /// How often others took over from the ledger's keys, as the first look at the trust file said.
    eras: Arc<AtomicUsize>,
}

impl Session {
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        Ok(Self {
            home: Home::from_environment()?,
            output: Output::new(global.output),
            context: global.context.clone(),
            no_input: global.no_input,
            eras: Arc::new(AtomicUsize::new(usize::MAX)),
        })
    }

    /// The same for a command whose standard output is another program's.
    pub(crate) fn aside(&self) -> Self {
        Self {
            home: self.home.clone(),
            output: self.output.aside(),
            context: self.context.clone(),
            no_input: self.no_input,
            eras: Arc::clone(&self.eras),
        }
    }

    /// The context in use.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        let contexts = Contexts::load(&self.home)?;
        let (_, context) = contexts.select(self.context.as_deref())?;
        Ok(context.clone())
    }

    /// Name of the context in use.
    pub(crate) fn context_name(&self) -> Result<String, Failure> {
        let contexts = Contexts::load(&self.home)?;
        let (name, _) = contexts.select(self.context.as_deref())?;
        Ok(name.to_string())
    }

    /// The ledger of the context in use.
    pub(crate) fn ledger(&self) -> Result<Ledger, Failure> {
        let ledger = Ledger::open(&self.home, self.context.as_deref())?;
        let eras = ledger.trust().later_keys().len();
        self.eras.fetch_min(eras, Ordering::Relaxed);
        Ok(ledger)
    }

    /// Pins the keys that took over from the pinned ones, where an order of the admins proves that
    /// others did.
    pub(crate) async fn follow_other_keys(&self) -> bool {
        let Ok(ledger) = self.ledger() else {
            return false;
        };
        // Another process may have followed since this one read the trust file.
        let known = self.eras.load(Ordering::Relaxed);
        let now = ledger.trust().later_keys().len();
        if now > known {
            self.eras.store(now, Ordering::Relaxed);
            return true;
        }
        let named = self.context().map(|context| context.trust.parse());
        let Ok(Ok(name)) = named else { return false };
        let eras = match trust::follow(&self.home, &name, &ledger).await {
            Ok(eras) => eras,
            Err(error) => {
                let (code, error) = (error.code(), &error);
                complain(format!(
                    "  note      no other keys were pinned: {error} [{code}]"
                ));
                return false;
            }
        };
        for era in &eras {
            complain(format!(
                "  note      other keys of the ledger took over at index {}, by order of its admins: \
                 {} signs now",
                era.after, era.keys.log
            ));
        }
        self.eras
            .store(now.saturating_add(eras.len()), Ordering::Relaxed);
        !eras.is_empty()
    }

    /// The same before anything is written: where the newest checkpoint is not by the pinned keys.
    pub(crate) async fn look_for_other_keys(&self) {
        let Ok(ledger) = self.ledger() else { return };
        // Whatever else is wrong is said by the command itself.
        if let Err(error) = ledger.newest_note().await
            && is_of_other_keys(error.code())
        {
            self.follow_other_keys().await;
        }
    }

    /// The keys named on the command line, or the context's.
    pub(crate) fn signers(&self, keys: &[String]) -> Result<Vec<Box<dyn Signer>>, Failure> {
        if !keys.is_empty() {
            return keys.iter().map(|key| self.signer(key)).collect();
        }
        let key = self.context()?.key.ok_or_else(|| {
            Failure::new(Reason::KeyFile, "this context names no key to sign with")
                .mended_by("Give --key FILE, or `cairn trust add URL --key FILE`.")
        })?;
        Ok(vec![self.signer(&key)?])
    }

    /// One key: a file, an agent's, or a token's.
    pub(crate) fn signer(&self, key: &str) -> Result<Box<dyn Signer>, Failure> {
        let spec: KeySpec = key.parse()?;
        Ok(keys::load(&spec, self)?)
    }

    /// Asks a question whose answer is yes or no; no where nobody can be asked.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Failure> {
        if self.cannot_ask() {
            return Ok(false);
        }
        complain(format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.map_err(|error| Failure::usage(format!("no answer: {error}")))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    pub(crate) fn cannot_ask(&self) -> bool {
        self.no_input || !io::stdin().is_terminal()
    }

    /// Asks for a passphrase without showing it.
    pub(crate) fn ask_passphrase(&self, prompt: &str) -> Option<Zeroizing<String>> {
        if self.cannot_ask() {
            return None;
        }
        crate::terminal::read_hidden(prompt).ok()
    }
}

impl AskPassphrase for Session {
    fn passphrase(&self, path: &Path) -> Option<Zeroizing<String>> {
        self.ask_passphrase(&format!("Passphrase of {}:", path.display()))
    }

    fn pin(&self, token: &str) -> Option<Zeroizing<String>> {
        self.ask_passphrase(&format!("PIN of the token {token}:"))
    }

    fn pin_on_token(&self, token: &str) -> bool {
        let asked = !self.cannot_ask();
        if asked {
            complain(format!("PIN of the token {token}: type it there"));
        }
        asked
    }
}
