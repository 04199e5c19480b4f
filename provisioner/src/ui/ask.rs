//! Questions: only where somebody is there to answer.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};

/// Where questions go and answers come from. Questions are no output: a pipe must not swallow them.
pub(super) struct Asker {
    present: bool,
    answers: Box<dyn BufRead + Send>,
    questions: Box<dyn Write + Send>,
}

impl Asker {
    pub(super) fn stdin() -> Self {
        Asker {
            present: io::stdin().is_terminal() && io::stderr().is_terminal(),
            answers: Box::new(io::BufReader::new(io::stdin())),
            questions: Box::new(io::stderr()),
        }
    }

    pub(super) fn confirm(&mut self, question: &str, yes: bool) -> anyhow::Result<bool> {
        if yes {
            return Ok(true);
        }
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    pub(super) fn name(&mut self, question: &str, name: &str) -> anyhow::Result<bool> {
        let answer = self.ask(&format!("{question}\nType its name, {name}, to go on: "))?;
        Ok(answer == name)
    }

    fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        if !self.present {
            let question = question.lines().next().unwrap_or_default().trim_end_matches(" [y/N] ");
            bail!(
                "\"{question}\" has to be answered, and there is no terminal to ask on; give --yes to agree beforehand"
            );
        }
        write!(self.questions, "{question}")
            .and_then(|()| self.questions.flush())
            .context("asking a question")?;
        let mut answer = String::new();
        // The end of the input is no answer, hence a no.
        self.answers.read_line(&mut answer).context("reading the answer")?;
        Ok(answer.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(present: bool, answers: &'static str) -> Asker {
        Asker { present, answers: Box::new(answers.as_bytes()), questions: Box::new(io::sink()) }
    }

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for (answer, agreed) in [("y\n", true), ("YES\n", true), ("\n", false), ("yep\n", false), ("", false)]
        {
            assert_eq!(asker(true, answer).confirm("Go on?", false).unwrap(), agreed, "{answer:?}");
        }
    }

    #[test]
    fn the_stacks_name_has_to_be_typed_in_full() {
        assert!(asker(true, "lab-vpc\n").name("Remove it all?", "lab-vpc").unwrap());
        assert!(!asker(true, "y\n").name("Remove it all?", "lab-vpc").unwrap());
        assert!(!asker(true, "\n").name("Remove it all?", "lab-vpc").unwrap());
    }

    #[test]
    fn without_a_terminal_the_flag_is_named() {
        let err = asker(false, "y\n").confirm("Carry out this plan?", false).unwrap_err();
        assert!(err.to_string().contains("\"Carry out this plan?\""), "{err}");
        assert!(err.to_string().contains("--yes"), "{err}");
        assert!(asker(false, "").confirm("Carry out this plan?", true).unwrap());
    }
}
