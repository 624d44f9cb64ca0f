//! CSV beside the rules of Python's `csv` (in a small reference of our own), and the law of splits.
#![allow(clippy::unwrap_used)]

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, types};
use arrow_schema::{DataType, Field, Schema};
use mapfold_records::InMemory;
use mapfold_records::table::{CsvOptions, CsvReader, CsvWriter, infer_schema, parse_schema};
use mapfold_records::text::FileSplit;
use proptest::prelude::*;

type Row = (Option<i64>, Option<String>, Option<f64>, Option<String>);

fn schema(as_codes: bool) -> Schema {
    parse_schema(if as_codes { "n:int64,s:category,x:float64,t:string" } else { "n:int64,s:string,x:float64,t:string" })
        .unwrap()
}

/// Text that needs quotes, or would if it held newlines.
fn word(newlines: bool) -> impl Strategy<Value = String> {
    let pieces = if newlines {
        vec!["a", "\"", ",", "\n", "\r\n", " ", "é", "0"]
    } else {
        vec!["a", "\"", ",", " ", "é", "0", "-"]
    };
    prop_oneof![prop::collection::vec(prop::sample::select(pieces), 0..6).prop_map(|p| p.concat()), "[a-z]{0,80}"]
}

fn rows(newlines: bool) -> impl Strategy<Value = Vec<Row>> {
    let x = prop_oneof![
        any::<f64>().prop_filter("a number", |v| !v.is_nan()),
        (-9999i32..9999).prop_map(|v| f64::from(v) / 100.0)
    ];
    let row = (
        prop::option::of(any::<i64>()),
        prop::option::of(word(newlines)),
        prop::option::of(x),
        prop::option::of(word(newlines)),
    );
    prop::collection::vec(row, 0..40)
}

fn field(text: &Option<String>, always: bool) -> String {
    let Some(text) = text else { return String::new() };
    let needs = always || text.is_empty() || text.contains(['"', ',', '\n', '\r']);
    if needs { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
}

fn print(rows: &[Row], newline: &str, always: bool) -> String {
    let mut out = format!("n,s,x,t{newline}");
    for (n, s, x, t) in rows {
        let number = |v: Option<String>| v.unwrap_or_default();
        let (n, x) = (number(n.map(|n| n.to_string())), number(x.map(|x| format!("{x:?}"))));
        out += &format!("{n},{},{x},{}{newline}", field(s, always), field(t, always));
    }
    out
}

fn text_of(array: &dyn Array, i: usize) -> Option<String> {
    if let Some(strings) = array.as_string_opt::<i32>() {
        return strings.is_valid(i).then(|| strings.value(i).to_string());
    }
    let codes = array.as_dictionary::<types::Int32Type>();
    codes.is_valid(i).then(|| codes.values().as_string::<i32>().value(codes.keys().value(i) as usize).to_string())
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let n = batch.column(0).as_primitive::<types::Int64Type>();
    let x = batch.column(2).as_primitive::<types::Float64Type>();
    let row = |i: usize| {
        let (s, t) = (text_of(batch.column(1), i), text_of(batch.column(3), i));
        (n.is_valid(i).then(|| n.value(i)), s, x.is_valid(i).then(|| x.value(i)), t)
    };
    (0..batch.num_rows()).map(row).collect()
}

fn read(text: &str, start: u64, end: u64, schema: &Schema, options: CsvOptions) -> mapfold_plan::Result<Vec<Row>> {
    let input = InMemory::new("t.csv", text.to_string());
    let mut reader = CsvReader::new(input, FileSplit { file: 0, start, len: end - start }, schema, None, options)?;
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        rows.extend(rows_of(&batch));
    }
    Ok(rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Law: any splits give the rows of the whole, whatever the newline, quoted or not, as text or as codes.
    #[test]
    fn splits_give_all_rows(rows in rows(false), newline in prop::sample::select(vec!["\n", "\r\n", "\r"]), always: bool, codes: bool, cuts in prop::collection::vec(0usize..2000, 0..5)) {
        let text = print(&rows, newline, always);
        let mut cuts: Vec<u64> = cuts.iter().map(|c| (c % text.len()) as u64).collect();
        cuts.extend([0, text.len() as u64]);
        cuts.sort_unstable();
        cuts.dedup();
        let parts = cuts.windows(2).map(|w| read(&text, w[0], w[1], &schema(codes), CsvOptions::default()));
        prop_assert_eq!(parts.collect::<Result<Vec<_>, _>>().unwrap().concat(), rows);
    }

    /// Law: with newlines inside fields the whole is read with `multiline`; without it some split always refuses.
    #[test]
    fn newlines_inside_fields_are_read_or_refused(rows in rows(true), always: bool, cut in 0usize..2000) {
        let text = print(&rows, "\n", always);
        let end = text.len() as u64;
        let options = CsvOptions { multiline: true, ..CsvOptions::default() };
        prop_assert_eq!(&read(&text, 0, end, &schema(false), options).unwrap(), &rows);
        let held = |t: &Option<String>| t.as_ref().is_some_and(|t| t.contains(['\n', '\r']));
        let cut = (cut % text.len()) as u64;
        let parts = [read(&text, 0, cut, &schema(false), CsvOptions::default()), read(&text, cut, end, &schema(false), CsvOptions::default())];
        let refused = cut > 0 && parts.iter().any(Result::is_err);
        prop_assert!(cut == 0 || refused == rows.iter().any(|r| held(&r.1) || held(&r.3)));
    }

    /// Law: what is written reads back.
    #[test]
    fn written_rows_read_back(rows in rows(true)) {
        let options = CsvOptions { multiline: true, ..CsvOptions::default() };
        let text = print(&rows, "\n", true);
        let input = InMemory::new("t.csv", text.clone());
        let split = FileSplit { file: 0, start: 0, len: text.len() as u64 };
        let mut reader = CsvReader::new(input, split, &schema(true), None, options).unwrap();
        let mut writer = CsvWriter::new(Vec::new(), b',');
        writer.header(&schema(true)).unwrap();
        while let Some(batch) = reader.next_batch().unwrap() {
            writer.write(&batch).unwrap();
        }
        let again = String::from_utf8(writer.into_inner()).unwrap();
        prop_assert_eq!(read(&again, 0, again.len() as u64, &schema(false), options).unwrap(), rows);
    }
}

#[test]
fn faults_name_row_and_column() {
    let says = |text: &str| {
        format!("{:?}", read(text, 0, text.len() as u64, &schema(false), CsvOptions::default()).unwrap_err())
    };
    let cases = [
        ("n,s,x,t\n1,a,2,b\n1,a,2\n", "byte 16", "4 fields"),
        ("n,s,x,t\n1,a,2,b,c\n", "byte 8", "4 fields"),
        ("n,s,x,t\n1,a,2,b\n1x,a,2,b\n", "\"1x\"", "column \"n\""),
        ("n,s,x,t\n1,a,two,b\n", "\"two\"", "no number"),
        ("n,s,x,t\n1,a\"b\"c,2,b\n", "byte 8", "quote"),
        ("n,s,x,t\n1,\"a\"b,2,c\n", "column \"s\"", "quote"),
        ("n,s,x,t\n1,\"a,2,c\n", "byte 8", "--multiline"),
    ];
    for (text, one, other) in cases {
        let message = says(text);
        assert!(message.contains(one) && message.contains(other) && message.contains("t.csv"), "{text:?}: {message}");
    }
}

#[test]
fn guesses() {
    let guess = |text: &str| -> Vec<DataType> {
        let schema = infer_schema(text.as_bytes(), &CsvOptions::default()).unwrap();
        schema.fields().iter().map(|f| f.data_type().clone()).collect()
    };
    use DataType::{Boolean, Float64, Int64, Utf8};
    assert_eq!(guess("a,b,c,d\n1,1,true,x\n2,1.5,FALSE,1\n"), [Int64, Float64, Boolean, Utf8]);
    assert_eq!(guess("a,b,c,d\n01,\"1\",,\n2,2,,3\n"), [Utf8, Utf8, Utf8, Int64]);
    assert_eq!(
        guess("a,b\n9223372036854775808,0.5\n-1,-0\nbroken,ro"),
        [Float64, Float64],
        "an unfinished row says nothing"
    );
    assert_eq!(guess("a\n"), [Utf8]);
    let without = CsvOptions { header: false, ..CsvOptions::default() };
    assert_eq!(infer_schema(b"1,x\n", &without).unwrap().field(1), &Field::new("column_2", Utf8, true));
    for (text, says) in [("", "--schema"), ("a,a\n1,2\n", "two columns"), ("a,b\n1\n", "1 fields")] {
        let error = infer_schema(text.as_bytes(), &CsvOptions::default()).unwrap_err();
        assert!(format!("{error:?}").contains(says), "{text:?}: {error:?}");
    }
}

#[test]
fn blank_lines_are_rows_of_one_column_only() {
    let count = |text: &str, schema: &str| {
        let options = CsvOptions { header: false, ..CsvOptions::default() };
        let split = FileSplit { file: 0, start: 0, len: text.len() as u64 };
        let mut reader =
            CsvReader::new(InMemory::new("t", text.to_string()), split, &parse_schema(schema).unwrap(), None, options)
                .unwrap();
        reader.next_batch().unwrap().unwrap().num_rows()
    };
    assert_eq!((count("1,2\n\n\r\n3,4\n", "a:int64,b:int64"), count("1\n\n3\n\n", "a:int64")), (2, 4));
}
