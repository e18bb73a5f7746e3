//! What every bench prints and writes: a Markdown table, and the same as JSON.
//!
//! A line may stand beside a *floor* (what the work costs at the least) or a *ceiling* (what
//! a rate could be at the most), measured in the same run. The ratio is always measured over
//! floor or ceiling: for times and bytes less is better, for rates more. No bench fails by
//! timing: whoever reads compares the ratio with the target.
#![allow(dead_code, clippy::unwrap_used)]

use std::{fmt, time::Instant};

use serde_json::{Value, json};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    MegabytesPerSecond,
    Seconds,
    Millis,
    Micros,
    Megabytes,
    Bytes,
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "us",
            Self::Megabytes => "MB",
            Self::Bytes => "B",
            Self::Times => "x",
        }
    }

    fn show(self, value: f64) -> String {
        let digits = match value.abs() {
            large if large >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            _ => 2,
        };
        format!("{value:.digits$} {}", self.name())
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    what: String,
    measured: f64,
    unit: Unit,
    beside: Option<(f64, Unit)>,
    target: &'static str,
}

impl Line {
    pub(crate) fn new(what: impl Into<String>, measured: f64, unit: Unit) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            beside: None,
            target: "",
        }
    }

    /// The floor or ceiling, in the same unit.
    pub(crate) fn beside(mut self, value: f64) -> Self {
        self.beside = Some((value, self.unit));
        self
    }

    /// What the design asks for.
    pub(crate) fn target(mut self, target: &'static str) -> Self {
        self.target = target;
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.beside.map(|(value, _)| self.measured / value)
    }

    fn cells(&self) -> [String; 5] {
        let beside = self.beside.map(|(value, unit)| unit.show(value));
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}"));
        [
            self.what.clone(),
            self.unit.show(self.measured),
            beside.unwrap_or_default(),
            ratio.unwrap_or_default(),
            self.target.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "measured": self.measured,
            "unit": self.unit.name(),
            "floorOrCeiling": self.beside.map(|(value, _)| value),
            "ratio": self.ratio(),
            "target": self.target,
        })
    }
}

/// What a bench found out.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        let lines = Vec::new();
        Self { name, lines }
    }

    /// Adds a line, and says it at once: a bench may take minutes.
    pub(crate) fn push(&mut self, line: Line) {
        let [what, measured, ..] = line.cells();
        eprintln!("{what}: {measured}");
        self.lines.push(line);
    }

    /// Prints the table and writes `target/bench-<name>.json`.
    pub(crate) fn finish(&self) {
        println!("\n{self}");
        let lines: Vec<_> = self.lines.iter().map(Line::json).collect();
        let json = json!({"bench": self.name, "cores": cores(), "lines": lines});
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
        std::fs::create_dir_all(target).unwrap();
        let file = format!("{target}/bench-{}.json", self.name);
        std::fs::write(file, format!("{json:#}\n")).unwrap();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "measured", "floor or ceiling", "ratio", "target"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(self.lines.iter().map(Line::cells));
        let width = |column: usize| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3, 4].map(width);
        for (number, row) in rows.iter().enumerate() {
            write!(out, "|")?;
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Text to the left, numbers to the right.
                match column {
                    0 | 4 => write!(out, " {cell:<width$} |")?,
                    _ => write!(out, " {cell:>width$} |")?,
                }
            }
            writeln!(out)?;
            if number == 0 {
                let lines = widths.map(|width| "-".repeat(width));
                writeln!(out, "| {} |", lines.join(" | "))?;
            }
        }
        Ok(())
    }
}

/// Processors that this run may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of one call, on one core.
pub(crate) fn cost(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(&mut call);
    per(start.elapsed().as_secs_f64(), calls)
}

/// A total over a count.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn per(total: f64, count: usize) -> f64 {
    total / count.max(1) as f64
}

/// The middle one, and the one that 99 of 100 do not exceed.
pub(crate) fn percentiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values.get(values.len() * part / 100).copied();
    (
        at(50).unwrap_or_default(),
        at(99).unwrap_or_else(|| values.last().copied().unwrap_or_default()),
    )
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    percentiles(&mut values).0
}

/// Seconds of processor time of the calling thread.
pub(crate) fn thread_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap();
    nanoseconds.parse::<f64>().unwrap() / 1e9
}

/// Bytes as megabytes.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
