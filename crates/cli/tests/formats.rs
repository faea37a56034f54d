//! Import and export of files: what is accepted, what is refused and with which words, and that nothing is lost.

use farshore_cli::exit::{Exit, Failure};
use farshore_cli::formats::{
    Checked, Empty, ExportOptions, Exporter, Format, ImportOptions, Row, Rows, Source, Target, Typed, check,
};
use std::io::Write;
use std::sync::{Arc, Mutex};

fn source(text: impl AsRef<[u8]>) -> Source {
    Source::spool(text.as_ref(), "input", 64 << 20).unwrap()
}

fn looked_at(text: impl AsRef<[u8]>, options: &ImportOptions) -> Result<(Checked, Vec<Row>), Failure> {
    let source = source(text);
    let checked = check(&source, options, &mut |_, _| {})?;
    let mut rows = Rows::open(&source, &checked)?;
    let mut good = Vec::new();
    while let Some(row) = rows.next_row()? {
        good.push(row);
    }
    assert_eq!(good.len() as u64, checked.good_rows);
    Ok((checked, good))
}

fn csv() -> ImportOptions {
    ImportOptions::new(Format::Csv)
}

fn keyed(mut options: ImportOptions, key: &str) -> ImportOptions {
    options.key = Some(key.to_owned());
    options
}

fn problems(checked: &Checked) -> Vec<String> {
    checked.problems.iter().map(ToString::to_string).collect()
}

fn text(value: &str) -> Typed {
    Typed::String(value.to_owned())
}

fn values(row: &Row) -> Vec<&Typed> {
    row.fields.iter().map(|(_, value)| value).collect()
}

/// A writer whose bytes can be looked at afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn options_to_export(format: Format) -> ExportOptions {
    ExportOptions { format, columns: None, delimiter: b',', tagged: false }
}

fn exported(rows: &[Row], options: ExportOptions) -> String {
    let out = Shared::default();
    let mut exporter = Exporter::new(Target::writer(out.clone(), "test"), options).unwrap();
    for row in rows {
        exporter.row(&row.fields).unwrap();
    }
    assert_eq!(exporter.finish().unwrap(), rows.len() as u64);
    String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn csv_types_are_inferred_strictly_and_empty_cells_are_null() {
    let input = "code,zip,size,lat,open,note,nothing\n\
                 A,00123,5,1,true,\"a, \"\"b\"\"\nc\",\n\
                 B,99999,,-2.5,false,,\n";
    let (checked, rows) = looked_at(input, &csv()).unwrap();
    let types: Vec<String> = checked.columns().iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
    assert_eq!(types.join(","), "code:string,zip:string,size:int,lat:number,open:bool,note:string,nothing:string");
    assert_eq!(
        values(&rows[0]),
        [
            &text("A"),
            &text("00123"),
            &Typed::Int(5),
            &Typed::Int(1),
            &Typed::Bool(true),
            &text("a, \"b\"\nc"),
            &Typed::Null
        ]
    );
    assert_eq!(values(&rows[1])[2..6], [&Typed::Null, &Typed::Float(-2.5), &Typed::Bool(false), &Typed::Null]);
    assert_eq!((rows[0].line, rows[1].line), (2, 4));
}

#[test]
fn empty_cells_can_be_strings_or_left_out() {
    let input = "a,b\n1,\n,2\n";
    let mut options = csv();
    options.empty = Empty::Skip;
    let (_, rows) = looked_at(input, &options).unwrap();
    assert_eq!(rows[0].fields, [("a".to_owned(), Typed::Int(1))]);
    assert_eq!(rows[1].fields, [("b".to_owned(), Typed::Int(2))]);
    options.empty = Empty::String;
    let (_, rows) = looked_at(input, &options).unwrap();
    assert_eq!(values(&rows[0]), [&text("1"), &text("")]);
    options.types = "a:int".parse().unwrap();
    let (checked, _) = looked_at(input, &options).unwrap();
    assert_eq!(problems(&checked), ["line 3: column \"a\": \"\" is not an integer of 64 bits"]);
}

#[test]
fn declared_types_rule_and_a_wrong_value_spoils_its_row_only() {
    let mut options = csv();
    options.types = "a:string,b:counter,c:json,d:timestamp".parse().unwrap();
    let input = "a,b,c,d\n1,2,\"[1,{\"\"x\"\":null}]\",1970-01-01T00:00:01Z\n1,x,1,1\n1,3,{,1\n";
    let (checked, rows) = looked_at(input, &options).unwrap();
    assert_eq!(values(&rows[0])[..2], [&text("1"), &Typed::Counter(2)]);
    assert_eq!(values(&rows[0])[3], &Typed::Timestamp(1000));
    let found = problems(&checked);
    assert_eq!(found[0], "line 3: column \"b\": \"x\" is not an integer of 64 bits, as a counter needs");
    assert!(found[1].starts_with("line 4: column \"c\": \"{\" is not JSON: EOF"), "{found:?}");
    assert_eq!((checked.bad_rows, checked.good_rows), (2, 1));
}

#[test]
fn a_bad_value_does_not_take_part_in_inference() {
    let (checked, _) = looked_at("a,b\n1,2\nx\n3,4\n", &csv()).unwrap();
    assert_eq!(problems(&checked), ["line 3: has 1 cells where the header has 2"]);
    assert_eq!(checked.columns()[0].1.to_string(), "int");
}

#[test]
fn every_malformed_csv_row_is_reported_with_its_line_and_the_others_can_be_imported() {
    let mut input = b"id,name\r\n1,a\r\n2,b,c\r\n3\r\n4,\"x\"y\r\n5,\"multi\r\nline\"\r\n6,".to_vec();
    input.extend_from_slice(b"\xff\r\n7,g\r\n");
    let source = source(&input);
    let checked = check(&source, &keyed(csv(), "id"), &mut |_, _| {}).unwrap();
    assert_eq!(
        problems(&checked),
        [
            "line 3: has 3 cells where the header has 2",
            "line 4: has 1 cells where the header has 2",
            "line 5: has text behind the closing quote of column 2; a quote inside a cell is written twice",
            "line 8: column \"name\" is not UTF-8 (byte 1 of the cell)",
        ]
    );
    let failure = checked.failure(&source).unwrap();
    assert_eq!(failure.code, Exit::Data);
    assert!(failure.message.starts_with("4 of 7 rows of input cannot be imported, so none was:\n  line 3:"));
    assert!(failure.remedy.unwrap().contains("--skip-bad"));
    let mut rows = Rows::open(&source, &checked).unwrap();
    let mut keys = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        keys.push(row.key.unwrap());
    }
    assert_eq!(keys, ["1", "5", "7"]);
}

#[test]
fn missing_and_repeated_keys_are_reported_with_both_lines() {
    let (checked, rows) = looked_at("k,v\na,1\nb,2\n,3\na,4\nb,5\na,6\n", &keyed(csv(), "k")).unwrap();
    assert_eq!(
        problems(&checked),
        [
            "line 4: has no key",
            "line 5: has the same \"k\" as the row on line 2",
            "line 6: has the same \"k\" as the row on line 3",
            "line 7: has the same \"k\" as the row on line 2",
        ]
    );
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3]);
    // A key written as an integer and as a string is one key.
    let json = "[{\"k\":7},{\"k\":\"7\"},\n{\"k\":null},{},{\"k\":1.5},{\"k\":\"\"}]";
    let (checked, _) = looked_at(json, &keyed(ImportOptions::new(Format::Json), "k")).unwrap();
    assert_eq!(
        problems(&checked),
        [
            "line 1: has the same \"k\" as the row on line 1",
            "line 2: has no key",
            "line 2: has no key",
            "line 2: has a key that is neither a string nor an integer",
            "line 2: has no key",
        ]
    );
}

#[test]
fn keys_of_csv_stay_as_they_are_written() {
    let (_, rows) = looked_at("k\n1.5\n2\n", &keyed(csv(), "k")).unwrap();
    assert_eq!(rows.iter().map(|row| row.key.clone().unwrap()).collect::<Vec<_>>(), ["1.5", "2"]);
    let (_, rows) = looked_at("k\n007\n8\n", &keyed(csv(), "k")).unwrap();
    assert_eq!(rows[0].key.as_deref(), Some("007"));
}

#[test]
fn an_unusable_header_is_refused_with_the_reason() {
    for (input, options, words) in [
        ("", csv(), "is empty"),
        ("\n\n", csv(), "is empty"),
        ("a,,c\n", csv(), "line 1: the header has no name for column 2"),
        ("\n\na,b,a\n", csv(), "line 3: the header names columns 1 and 3 both \"a\""),
        ("a\"b\n\"c\"d\n", keyed(csv(), "x"), "a column \"x\" that the file does not have"),
        ("\"a\"b\n", csv(), "line 1: the header has text behind"),
    ] {
        let failure = looked_at(input, &options).unwrap_err();
        assert!(failure.message.contains(words), "{input:?}: {failure}");
    }
    let failure = looked_at("icao;name\n1;2\n", &keyed(csv(), "icao")).unwrap_err();
    assert!(failure.remedy.unwrap().contains("--delimiter"));
    let mut options = keyed(csv(), "icao");
    options.delimiter = b';';
    assert_eq!(looked_at("icao;name\n1;2\n", &options).unwrap().1.len(), 1);
    assert!(looked_at(b"a,\xff\n", &csv()).unwrap_err().message.contains("the header is not UTF-8"));
    let mut options = csv();
    options.types = "aa:int".parse().unwrap();
    let failure = looked_at("a,b\n", &options).unwrap_err();
    assert_eq!(failure.code, Exit::Usage);
}

#[test]
fn a_byte_order_mark_does_not_become_part_of_the_first_name() {
    let (checked, _) = looked_at("\u{feff}\"a\",b\r\n1,2\r\n", &csv()).unwrap();
    assert_eq!(checked.columns()[0].0, "a");
    let (_, rows) = looked_at("\u{feff}{\"a\":1}\r\n\r\n", &ImportOptions::new(Format::Ndjson)).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(looked_at("\u{feff}[]", &ImportOptions::new(Format::Json)).unwrap().1.len(), 0);
}

#[test]
fn an_unclosed_quote_is_not_even_skipped() {
    let failure = looked_at("a\n1\n\"2\n3\n", &csv()).unwrap_err();
    assert_eq!(failure.code, Exit::Data);
    assert!(failure.message.contains("line 3: the quote that is opened here is never closed"), "{failure}");
}

#[test]
fn every_malformed_json_row_is_reported_with_its_line() {
    let mut input = b"{\"a\":1}\n\n[1]\n{\"a\":\n{\"a\":1,\"a\":2}\n{\"a\":99999999999999999999}\n{\"a\":\"".to_vec();
    input.extend_from_slice(b"\xff\"}\n{\"\":1}\n{\"a\":1} x\n{\"b\":2}");
    let (checked, rows) = looked_at(&input, &ImportOptions::new(Format::Ndjson)).unwrap();
    let found = problems(&checked);
    for (problem, words) in found.iter().zip([
        "line 3: is a list, not an object",
        "line 4: EOF while parsing a value (column 5)",
        "line 5: the name \"a\" stands twice",
        "line 6: the integer 99999999999999999999 needs more than 64 bits",
        "line 7: is not UTF-8 (byte 7 of the row)",
        "line 8: a field has an empty name",
        "line 9: trailing characters (column 9)",
    ]) {
        assert!(problem.starts_with(words), "{problem:?} is not {words:?}");
    }
    assert_eq!((found.len(), rows.len()), (7, 2));
    assert_eq!(rows[1].line, 10);
}

#[test]
fn a_malformed_element_of_an_array_is_reported_with_its_line() {
    let input = "[\n {\"a\": 1},\n {\"a\":\n   x},\n 5,\n {\"a\": 2}\n]\n";
    let (checked, rows) = looked_at(input, &ImportOptions::new(Format::Json)).unwrap();
    let found = problems(&checked);
    assert!(found[0].starts_with("line 3: line 4: expected value"), "{found:?}");
    assert_eq!(found[1], "line 5: is an integer, not an object");
    assert_eq!(rows.len(), 2);
    let failure = looked_at("[{\"a\":1}\n{\"a\":2}]", &ImportOptions::new(Format::Json)).unwrap_err();
    assert!(failure.message.contains("line 2: a comma or ] is missing"), "{failure}");
    let failure = looked_at("{\"a\":1}", &ImportOptions::new(Format::Json)).unwrap_err();
    assert!(failure.message.contains("--format ndjson"), "{failure}");
}

#[test]
fn declared_types_apply_to_the_fields_of_json() {
    let mut options = ImportOptions::new(Format::Ndjson);
    options.types = "t:text,n:counter,b:bytes".parse().unwrap();
    let (checked, rows) =
        looked_at("{\"t\":\"x\",\"n\":1,\"b\":\"AQI=\"}\n{\"t\":5}\n{\"t\":null}\n", &options).unwrap();
    assert_eq!(values(&rows[0]), [&Typed::Text("x".into()), &Typed::Counter(1), &Typed::Bytes(vec![1, 2])]);
    assert_eq!(problems(&checked), ["line 2: field \"t\" is an integer, not text"]);
}

#[test]
fn many_problems_are_counted_and_the_first_are_shown() {
    let input: String = std::iter::once("a,b\n".to_owned()).chain((0..200).map(|n| format!("{n}\n"))).collect();
    let source = source(input);
    let checked = check(&source, &csv(), &mut |_, _| {}).unwrap();
    assert_eq!((checked.bad_rows, checked.problems.len()), (200, 50));
    assert!(checked.failure(&source).unwrap().message.ends_with("and 150 more"));
}

#[test]
fn a_file_that_changes_after_the_check_stops_the_import() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.csv");
    std::fs::write(&path, "a\n1\n").unwrap();
    let source = Source::open(&path).unwrap();
    let checked = check(&source, &csv(), &mut |_, _| {}).unwrap();
    std::fs::write(&path, "a\n1\n2\n").unwrap();
    assert!(Rows::open(&source, &checked).err().unwrap().message.contains("changed"));
}

#[test]
fn an_export_reads_back_and_exports_to_the_same_bytes() {
    let all = Row {
        line: 1,
        key: None,
        fields: vec![
            ("null".into(), Typed::Null),
            ("bool".into(), Typed::Bool(true)),
            ("int".into(), Typed::Int(-5)),
            ("uint".into(), Typed::Uint(u64::MAX)),
            ("float".into(), Typed::Float(0.1 + 0.2)),
            ("whole".into(), Typed::Float(38.0)),
            ("large".into(), Typed::Float(1e300)),
            ("tiny".into(), Typed::Float(5e-324)),
            ("zero".into(), Typed::Float(-0.0)),
            ("nan".into(), Typed::Float(f64::NAN)),
            ("string".into(), text("a,\"b\"\r\n\u{1f600}\u{7}")),
            ("digits".into(), text("00123")),
            ("empty".into(), text("")),
            ("text".into(), Typed::Text("héllo".into())),
            ("counter".into(), Typed::Counter(7)),
            ("time".into(), Typed::Timestamp(1_700_000_000_123)),
            ("bytes".into(), Typed::Bytes(vec![0, 1, 255])),
            ("list".into(), Typed::List(vec![Typed::Int(1), Typed::Map(vec![("x".into(), Typed::Null)])])),
            ("map".into(), Typed::Map(vec![("b".into(), Typed::Int(1)), ("a".into(), Typed::List(vec![]))])),
        ],
    };
    let few = Row { line: 2, key: None, fields: vec![("int".into(), Typed::Float(2.5)), ("other".into(), text("x"))] };
    let rows = [all, few];
    for format in [Format::Ndjson, Format::Json, Format::Csv] {
        let first = exported(&rows, options_to_export(format));
        let (checked, read) = looked_at(&first, &ImportOptions::new(format)).unwrap();
        assert_eq!(problems(&checked), Vec::<String>::new());
        let second = exported(&read, options_to_export(format));
        assert_eq!(first, second, "{format}");
    }
    let tagged = ExportOptions { tagged: true, ..options_to_export(Format::Ndjson) };
    let first = exported(&rows, tagged.clone());
    let mut options = ImportOptions::new(Format::Ndjson);
    options.tagged = true;
    let (_, read) = looked_at(&first, &options).unwrap();
    assert_eq!(first, exported(&read, tagged));
    assert_eq!(format!("{:?}", read[0].fields), format!("{:?}", rows[0].fields)); // NaN is not equal to itself
}

#[test]
fn the_airports_survive_import_and_export_unchanged() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/airports.csv.gz");
    let source = Source::open(&path).unwrap();
    let mut reports = 0;
    let checked = check(&source, &keyed(csv(), "icao"), &mut |_, _| reports += 1).unwrap();
    assert_eq!((checked.good_rows, checked.bad_rows), (28_298, 0));
    assert!(reports > 10);
    let types: Vec<String> = checked.columns().iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
    assert_eq!(
        types.join(","),
        "icao:string,iata:string,name:string,city:string,subd:string,country:string,elevation:number,lat:float,\
         lon:float,tz:string,lid:string"
    );
    let columns: Vec<String> = checked.columns().iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut rows = Rows::open(&source, &checked).unwrap();
    let mut read = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        read.push(row);
    }
    let exported = exported(&read, ExportOptions { columns: Some(columns), ..options_to_export(Format::Csv) });
    // The original quotes every string; compare what it says, digit by digit.
    let mut original = csv::Reader::from_reader(flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()));
    let mut ours = csv::Reader::from_reader(exported.as_bytes());
    assert!(original.records().map(Result::unwrap).eq(ours.records().map(Result::unwrap)));
}

#[test]
fn an_empty_export_is_an_empty_file_of_its_format() {
    assert_eq!(exported(&[], options_to_export(Format::Json)), "[]\n");
    assert_eq!(exported(&[], options_to_export(Format::Ndjson)), "");
    assert_eq!(exported(&[], options_to_export(Format::Csv)), "");
    let columns = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(exported(&[], ExportOptions { columns, ..options_to_export(Format::Csv) }), "a,b\n");
}

#[test]
fn chosen_columns_come_in_their_order() {
    let row = Row { line: 1, key: None, fields: vec![("a".into(), Typed::Int(1)), ("b".into(), Typed::Int(2))] };
    let columns = Some(vec!["b".to_owned(), "z".to_owned(), "a".to_owned()]);
    let csv = ExportOptions { columns: columns.clone(), ..options_to_export(Format::Csv) };
    assert_eq!(exported(std::slice::from_ref(&row), csv), "b,z,a\n2,,1\n");
    let json = ExportOptions { columns, ..options_to_export(Format::Ndjson) };
    assert_eq!(exported(&[row], json), "{\"b\":2,\"a\":1}\n");
}

#[test]
fn an_exported_file_appears_when_it_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.ndjson", "a.ndjson.gz"] {
        let path = directory.path().join(name);
        let mut exporter = Exporter::new(Target::file(&path).unwrap(), options_to_export(Format::Ndjson)).unwrap();
        exporter.row(&vec![("a".to_owned(), Typed::Int(1))]).unwrap();
        assert!(!path.exists());
        exporter.finish().unwrap();
        let source = Source::open(&path).unwrap();
        let checked = check(&source, &ImportOptions::new(Format::Ndjson), &mut |_, _| {}).unwrap();
        assert_eq!(checked.good_rows, 1, "{name}");
    }
    let dropped = directory.path().join("b.json");
    drop(Exporter::new(Target::file(&dropped).unwrap(), options_to_export(Format::Json)).unwrap());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "an aborted export leaves nothing");
    let failure = Target::file(&directory.path().join("no/such/c.json")).err().unwrap();
    assert_eq!(failure.code, Exit::NotFound);
}

#[test]
fn a_format_is_known_by_its_name() {
    for (name, format) in [
        ("a.csv", Some(Format::Csv)),
        ("a.CSV.gz", Some(Format::Csv)),
        ("b.tsv", Some(Format::Csv)),
        ("a.b.jsonl", Some(Format::Ndjson)),
        ("x.ndjson.gz", Some(Format::Ndjson)),
        ("x.json", Some(Format::Json)),
        ("json", None),
        ("a.gz", None),
        ("a.txt", None),
    ] {
        assert_eq!(Format::of_path(std::path::Path::new(name)), format, "{name}");
    }
}
