//! CPU seconds of reading and grouping tables, one thread: `table_speed KEY VALUE FILE...`, each FILE a `.csv` or `.parquet`.
//! bench/tables.py makes such files and runs this beside DuckDB, Polars and pyarrow.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use mapfold_records::Ranges;
use mapfold_records::group::{Aggregate, GroupTable};
use mapfold_records::table::parquet::ParquetTable;
use mapfold_records::table::{CsvOptions, CsvReader, infer_schema};
use mapfold_records::text::FileSplit;

fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Text columns as dictionaries.
fn coded(schema: &Schema) -> Schema {
    let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let code = |f: &Field| {
        if *f.data_type() == DataType::Utf8 { Field::new(f.name(), codes.clone(), true) } else { f.clone() }
    };
    Schema::new(schema.fields().iter().map(|f| code(f)).collect::<Vec<_>>())
}

/// A local file, read as the store reads it: piece by piece.
struct Local(std::fs::File, String, u64);

impl Ranges for Local {
    fn name(&self) -> &str {
        &self.1
    }
    fn size(&self) -> u64 {
        self.2
    }
    fn read(&self, start: u64, len: usize) -> mapfold_plan::Result<Bytes> {
        let mut piece = vec![0; len];
        std::os::unix::fs::FileExt::read_exact_at(&self.0, &mut piece, start)?;
        Ok(piece.into())
    }
}

fn each_batch(path: &str, columns: [&str; 2], visit: &mut dyn FnMut(&RecordBatch)) {
    let file = std::fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let input = Local(file, path.to_string(), size);
    if path.ends_with(".parquet") {
        let table = ParquetTable::open(&input, Some(&columns), &columns).unwrap();
        for group in 0..table.row_groups() {
            let bytes = table.fetch(&input, group).unwrap();
            table.read(group, bytes).unwrap().for_each(|batch| visit(&batch.unwrap()));
        }
        return;
    }
    let options = CsvOptions::default();
    let sample = input.read(0, input.size().min(1 << 20) as usize).unwrap();
    let schema = coded(&infer_schema(&sample, &options).unwrap());
    let split = FileSplit { file: 0, start: 0, len: input.size() };
    let mut reader = CsvReader::new(input, split, &schema, Some(&columns), options).unwrap();
    while let Some(batch) = reader.next_batch().unwrap() {
        visit(&batch);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (key, value) = (arguments[0].as_str(), arguments[1].as_str());
    for path in &arguments[2..] {
        let measure = |what: &str, run: &dyn Fn() -> usize| {
            let mut rows = 0;
            let best = (0..3)
                .map(|_| {
                    let start = cpu();
                    rows = run();
                    cpu() - start
                })
                .fold(f64::INFINITY, f64::min);
            println!("{path} {what}: {best:.3} CPU s, {rows} rows, {:.1} ns per row", best / rows as f64 * 1e9);
        };
        measure("decode", &|| {
            let mut rows = 0;
            each_batch(path, [key, value], &mut |batch| rows += batch.num_rows());
            rows
        });
        measure("aggregate", &|| {
            let (mut table, mut rows) = (None::<GroupTable>, 0);
            let wanted: Aggregate = format!("{value}:mean,min,max,count").parse().unwrap();
            each_batch(path, [key, value], &mut |batch| {
                let table = table
                    .get_or_insert_with(|| GroupTable::new(&batch.schema(), &[key], &wanted.clone().into()).unwrap());
                table.add(batch).unwrap();
                rows += batch.num_rows();
            });
            std::hint::black_box(table.unwrap().finish().unwrap());
            rows
        });
    }
}
