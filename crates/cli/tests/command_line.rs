//! The command line as a whole: every command explains itself, and its examples are true.

use clap::{CommandFactory as _, Parser as _};
use farshore_cli::args::CommandLine;
use farshore_cli::control::{DocumentName, Edit, Request};
use farshore_cli::exit::{Exit, Failure};
use farshore_cli::formats::Typed;
use farshore_cli::settings::{Settings, Task};

/// Splits a line as a shell does, as far as the examples need it.
fn shell(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

fn settings(line: &str, stdin: &str) -> Result<Settings, Failure> {
    let line = CommandLine::try_parse_from(shell(line)).map_err(|error| Failure::usage(error.to_string()))?;
    Settings::new(line, &mut stdin.as_bytes())
}

fn request(line: &str) -> Request {
    match settings(line, "").unwrap().task {
        Task::Ask(request) | Task::Invite { request, .. } | Task::List { request, .. } => request,
        other => panic!("{line}: {other:?}"),
    }
}

fn visit(command: &clap::Command, name: &str, visitor: &mut dyn FnMut(&str, &clap::Command)) {
    visitor(name, command);
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        visit(inner, &format!("{name} {}", inner.get_name()), visitor);
    }
}

#[test]
fn the_definition_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_has_an_example_and_every_example_is_understood() {
    let mut examples = 0;
    visit(&CommandLine::command(), "farshore", &mut |name, command| {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().map(str::trim).filter(|line| line.contains("farshore ")).collect();
        assert!(!lines.is_empty(), "{name} has no example");
        for line in lines {
            let line = line.rsplit(" | ").next().unwrap().split(" < ").next().unwrap();
            let stdin = if line.ends_with(" -") { "farshore1ticket" } else { "" };
            settings(line, stdin).unwrap_or_else(|failure| panic!("{line}: {failure}"));
            examples += 1;
        }
    });
    assert!(examples > 40, "{examples}");
}

#[test]
fn help_documents_the_first_steps_and_the_exit_codes_and_version_tells_the_formats() {
    let help = CommandLine::command().render_long_help().to_string();
    for exit in Exit::ALL {
        assert!(help.contains(exit.meaning()), "{exit:?}");
    }
    let short = CommandLine::command().render_help().to_string();
    assert!([help, short].iter().all(|help| help.contains("farshore demo") && help.contains("farshore init")));
    let error = CommandLine::try_parse_from(["farshore", "--version"]).unwrap_err();
    assert!(error.to_string().contains("protocol"), "{error}");
}

#[test]
fn global_options_may_stand_anywhere() {
    for line in ["farshore --json --store a.fsh space list", "farshore space list --json --store a.fsh"] {
        let settings = settings(line, "").unwrap();
        assert!(settings.voice.json && settings.store == std::path::Path::new("a.fsh"));
    }
    assert_eq!(settings("farshore --store= space list", "").unwrap_err().code, Exit::Usage);
}

#[test]
fn a_document_is_put_as_fields_as_an_object_or_from_a_pipe() {
    let wanted = vec![("title".to_owned(), Typed::String("Milk".into())), ("n".to_owned(), Typed::Int(5))];
    for (line, stdin) in [
        ("farshore put todos title=Milk n:=5", ""),
        ("farshore put todos '{\"title\":\"Milk\",\"n\":5}'", ""),
        ("farshore put todos -", "{\"title\":\"Milk\",\"n\":5}\n"),
    ] {
        match settings(line, stdin).unwrap().task {
            Task::Ask(Request::Put { fields, document: None, .. }) => assert_eq!(fields, wanted),
            other => panic!("{other:?}"),
        }
    }
    for (line, words) in [
        ("farshore put todos a=1 a=2", "given twice"),
        ("farshore put todos '{\"a\":1,\"a\":2}'", "stands twice"),
        ("farshore put todos '{'", "not JSON"),
        ("farshore put todos a=1 --replace", "--replace needs"),
        ("farshore put todos a=1 --key k --id i", "cannot be used with"),
        ("farshore put todos", "required"),
    ] {
        let failure = settings(line, "").unwrap_err();
        assert!(failure.message.contains(words), "{line}: {failure}");
    }
}

#[test]
fn a_document_is_named_by_key_or_by_id() {
    let name = |line: &str| match request(line) {
        Request::Get { document, path, .. } => (document, path.map(|path| path.to_string())),
        other => panic!("{other:?}"),
    };
    assert_eq!(name("farshore get c k"), (DocumentName::Key("k".into()), None));
    assert_eq!(name("farshore get c k a.b[0]"), (DocumentName::Key("k".into()), Some("a.b[0]".into())));
    assert_eq!(name("farshore get c --id I a"), (DocumentName::Id("I".into()), Some("a".into())));
    for line in ["farshore get c", "farshore get c --id I a b", "farshore edit c set a 1", "farshore rm c"] {
        assert_eq!(settings(line, "").unwrap_err().code, Exit::Usage, "{line}");
    }
    match request("farshore edit c --id I increment n -5") {
        Request::Edit { document, edits, .. } => {
            assert_eq!(document, DocumentName::Id("I".into()));
            assert_eq!(edits, [Edit::Increment { path: "n".parse().unwrap(), by: -5 }]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pasted_ticket_may_be_broken_into_pieces() {
    for (line, stdin) in
        [("farshore join abc def", ""), ("farshore join -", " abc\n def\r\n"), ("farshore join 'ab cdef'", "")]
    {
        match settings(line, stdin).unwrap().task {
            Task::Ask(Request::Join { ticket, wait_ms: 60_000, sync: false }) => assert_eq!(ticket, "abcdef"),
            other => panic!("{other:?}"),
        }
    }
    assert!(settings("farshore join -", " \n").unwrap_err().message.contains("empty"));
}

#[test]
fn a_format_that_cannot_be_known_is_asked_for() {
    for line in ["farshore import c -", "farshore import c data.txt", "farshore export c"] {
        let failure = settings(line, "").unwrap_err();
        assert!(failure.remedy.unwrap().contains("--format"), "{line}");
    }
    let import = |line: &str| match settings(line, "").unwrap().task {
        Task::Import(import) => import.options,
        other => panic!("{other:?}"),
    };
    assert_eq!(import("farshore import c a.tsv.gz").delimiter, b'\t');
    assert_eq!(import("farshore import c a.csv --delimiter ;").delimiter, b';');
    assert_eq!(import("farshore import c a.csv --delimiter tab").delimiter, b'\t');
    assert!(settings("farshore import c a.csv --delimiter ab", "").is_err());
    assert!(settings("farshore import c a.csv --types a:imt", "").unwrap_err().message.contains("--types"));
    assert!(settings("farshore export c a.csv --tagged", "").is_err());
}

#[test]
fn a_wrong_path_is_answered_before_anything_is_opened() {
    let failure = settings("farshore edit c k set a..b 1", "").unwrap_err();
    assert_eq!(failure.code, Exit::Usage);
    assert!(failure.message.ends_with("  a..b\n    ^"), "{failure}");
    assert!(settings("farshore edit c k set a[] 1", "").unwrap_err().remedy.unwrap().contains("edit insert"));
    assert!(settings("farshore collection create c --field n:int", "").unwrap_err().message.contains("NAME:text"));
}
