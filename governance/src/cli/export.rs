//! `governance ledger export`, and checking what it wrote.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::args::{Export, Format};
use super::printer::{BAD, GOOD, Printer, written};
use crate::config::Config;
use crate::disk::reading;
use crate::error::{Error, Result};
use crate::ledger::{AgentAction, ExportEnd, ExportLine, Head, verify_export};
use crate::vocabulary::PipelineId;

/// How long it may take before it is told how far it is, and how often then.
const SILENT: Duration = Duration::from_secs(1);
const COLUMNS: &str = "seq,segment,number,at,kind,action,agent_id,pipeline_id,intent,result,payload,payload_hash\n";

/// Writes the record out, up to its newest head.
pub async fn export(config: Config, args: Export, printer: &Printer) -> Result<ExitCode> {
    let pipeline = args.pipeline.map(PipelineId::new).transpose()?;
    let governance = super::existing(config).await?;
    if let Some(id) = &pipeline {
        super::chosen(&governance, Some(id.to_string())).await?;
    }
    let mut sink = Sink::open(args.out, *printer)?;
    governance.catch_up(super::ledger::CATCH_UP).await?;
    let left_out = super::ledger::left_out(&governance).await?;
    let mut export = governance.ledger().export(args.from, pipeline).await?;
    let head = export.head().clone();
    match args.format {
        Format::Jsonl => sink.object(export.start())?,
        Format::Csv => sink.write(COLUMNS.as_bytes())?,
    }
    let clock = &governance.store().ports().clock;
    let (mut told, mut count) = (clock.elapsed(), 0_u64);
    while let Some(line) = export.next().await? {
        count += u64::from(matches!(line, ExportLine::Entry(_)));
        match (args.format, &line) {
            (Format::Jsonl, line) => sink.object(line)?,
            (Format::Csv, ExportLine::Entry(entry)) => sink.write(row(entry).as_bytes())?,
            (Format::Csv, ExportLine::Gap { .. }) => {}
        }
        if clock.elapsed() - told >= SILENT {
            told = clock.elapsed();
            printer.note(format!("{count} entries written, up to {} of {}", export.read(), head.size))?;
        }
    }
    governance.close().await?;
    if args.format == Format::Jsonl {
        sink.object(&ExportEnd { head: head.clone() })?;
    }
    let file = sink.finish()?;
    super::ledger::note(left_out, printer)?;
    if args.format == Format::Csv {
        printer.note(format!("a table cannot be checked: keep the head that it goes up to: {}", head.to_line()?))?;
    }
    if let Some(file) = file {
        let object = json!({"exported": count, "file": file, "head": head});
        printer
            .either(&object, || format!("{GOOD}exported{GOOD:#} {count} entries to {}, up to the head at {}", file.display(), head.size))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks an exported file. Opens neither ledger nor store.
pub fn verify(config: &Config, path: &Path, head: Option<&Head>, printer: &Printer) -> Result<ExitCode> {
    let unreadable = |error: std::io::Error| Error::invalid("file_unreadable", format!("`{}` cannot be read: {error}", path.display()));
    let file = reading::open_given(path).map_err(unreadable)?;
    let report = verify_export(BufReader::with_capacity(1 << 16, file), &config.home, head)?;
    let intact = report.first.is_none();
    printer.either(&json!({"intact": intact, "report": report}), || {
        if intact { format!("{GOOD}intact{GOOD:#}: {report}") } else { format!("{BAD}not intact{BAD:#}: {report}") }
    })?;
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Where it goes: standard output, or a file that takes its name when it is whole.
enum Sink {
    Out(Printer),
    File { whole: PathBuf, part: PathBuf, file: BufWriter<File> },
}

impl Sink {
    fn open(out: Option<PathBuf>, printer: Printer) -> Result<Self> {
        let Some(whole) = out else { return Ok(Self::Out(printer)) };
        let mut name = whole.file_name().filter(|_| !whole.is_dir()).ok_or_else(|| unwritable(&whole, None))?.to_owned();
        name.push(".part");
        let part = whole.with_file_name(name);
        let file = BufWriter::new(File::create(&part).map_err(|error| unwritable(&whole, Some(error)))?);
        Ok(Self::File { whole, part, file })
    }

    fn object(&mut self, value: &impl Serialize) -> Result<()> {
        match self {
            Self::Out(printer) => printer.object(value),
            Self::File { .. } => {
                let text = serde_json::to_string(value).map_err(|e| Error::internal("an entry is not JSON").because(e))?;
                self.write(text.as_bytes())?;
                self.write(b"\n")
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Out(_) => written(std::io::stdout().lock().write_all(bytes)),
            Self::File { whole, file, .. } => file.write_all(bytes).map_err(|error| unwritable(whole, Some(error))),
        }
    }

    /// Gives the file its name. It is on the disk then.
    fn finish(mut self) -> Result<Option<PathBuf>> {
        let Self::File { whole, part, file } = &mut self else { return Ok(None) };
        let done = file.flush().and_then(|()| file.get_ref().sync_all()).and_then(|()| std::fs::rename(&part, &whole));
        done.map_err(|error| unwritable(whole, Some(error)))?;
        Ok(Some(std::mem::take(whole)))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // What is not whole stays nowhere; what is has another name by now.
        if let Self::File { part, .. } = self {
            let _ = std::fs::remove_file(part);
        }
    }
}

fn unwritable(path: &Path, cause: Option<std::io::Error>) -> Error {
    let message = format!("`{}` cannot be written: name a file in a directory that you may write to", path.display());
    let error = Error::invalid("not_writable", message);
    cause.into_iter().fold(error, Error::because)
}

/// An entry as a row. Every text is in quotes; one that a spreadsheet would carry out as a formula gets an apostrophe before it.
fn row(entry: &AgentAction) -> String {
    let text = |text: &str| {
        let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        format!("\"{formula}{}\"", text.replace('"', "\"\""))
    };
    let maybe = |value: Option<&str>| value.map_or(String::new(), text);
    [
        entry.seq.to_string(),
        text(entry.segment.as_str()),
        entry.number.to_string(),
        entry.at.0.to_string(),
        entry.kind.to_string(),
        entry.action.to_string(),
        maybe(entry.agent_id.as_ref().map(|id| id.as_str())),
        maybe(entry.pipeline_id.as_ref().map(|id| id.as_str())),
        maybe(entry.intent.as_ref().map(|id| id.as_str())),
        entry.result.map_or(String::new(), |result| result.to_string()),
        maybe(entry.payload.as_deref()),
        maybe(entry.payload_hash.as_deref()),
    ]
    .join(",")
        + "\n"
}
