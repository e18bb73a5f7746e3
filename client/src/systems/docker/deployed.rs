//! What a command of Docker's or skopeo's deploys, and where to read it afterwards.
//!
//! Only what is to be read without credentials: what runs, or a file that the command wrote. Of
//! a push the flag says what to ask for.

use super::super::Given;

/// Of a command, if it shows.
pub(super) fn by(program: &str, arguments: &[&str]) -> Option<Given> {
    let file = |path: &str| Some(Given::File(path.into()));
    match (program, arguments) {
        ("docker", ["save" | "image", ..]) => file(option(arguments, &["-o", "--output"])?),
        ("docker", ["build" | "buildx", ..]) => file(option(arguments, &["--metadata-file"])?),
        ("docker", ["run" | "start" | "restart" | "compose", rest @ ..]) => {
            let starts = arguments.first() != Some(&"compose") || rest.contains(&"up");
            // In the foreground, it has ended by the time that is looked.
            let stays = !matches!(arguments, ["run" | "compose", ..])
                || rest.iter().any(|word| {
                    *word == "--detach" || (word.starts_with("-d") && !word.starts_with("-d="))
                });
            (starts && stays).then_some(Given::Live(None))
        }
        ("skopeo", ["copy", ..]) => {
            if let Some(path) = option(arguments, &["--digestfile"]) {
                return file(path);
            }
            let to = arguments.last()?;
            let path = to
                .strip_prefix("docker-archive:")
                .or_else(|| to.strip_prefix("oci-archive:"))?;
            file(path.split(':').next()?)
        }
        _ => None,
    }
}

/// What stands after an option, or within it.
fn option<'a>(arguments: &[&'a str], names: &[&str]) -> Option<&'a str> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if names.contains(word) {
            return words.next().copied();
        }
        let within = word
            .split_once('=')
            .filter(|(name, _)| names.contains(name));
        if let Some((_, value)) = within {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Given, by};

    /// Goal: what a command leaves behind is found, and nothing is guessed of others. Method:
    /// command lines.
    #[test]
    fn what_a_command_deploys_is_found() {
        let file = |path: &str| Some(Given::File(path.into()));
        for (line, given) in [
            ("docker run -d --name web shop:1", Some(Given::Live(None))),
            ("docker run shop:1", None),
            (
                "docker compose -f a.yml up --detach",
                Some(Given::Live(None)),
            ),
            ("docker compose down", None),
            ("docker start web", Some(Given::Live(None))),
            ("docker save -o shop.tar shop:1", file("shop.tar")),
            ("docker save shop:1", None),
            (
                "docker buildx build --metadata-file=b.json .",
                file("b.json"),
            ),
            ("docker push reg.example/shop:1", None),
            (
                "skopeo copy oci:a docker-archive:b.tar:shop:1",
                file("b.tar"),
            ),
            (
                "skopeo copy --digestfile d oci:a docker://reg.example/a",
                file("d"),
            ),
            ("skopeo copy oci:a docker://reg.example/a", None),
            ("kubectl apply -f a", None),
        ] {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(by(words[0], &words[1..]), given, "{line}");
        }
    }
}
