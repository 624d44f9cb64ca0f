//! Columns that line up. Widths count characters, so labels with accents stay aligned; trailing blanks are cut.

/// Where a cell's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of text under a heading.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no row.
    pub fn new(columns: impl IntoIterator<Item = Align>) -> Table {
        Table { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the last column are dropped, missing ones are empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The rows, one line each, two blanks between columns, `indent` blanks before the first.
    ///
    /// ```
    /// use mapfold_watch::{Align, Table};
    /// let mut t = Table::new([Align::Left, Align::Right]);
    /// t.row(["splits", "484"]);
    /// t.row(["retries", "0"]);
    /// assert_eq!(t.lines(0), ["splits   484", "retries    0"]);
    /// ```
    pub fn lines(&self, indent: usize) -> Vec<String> {
        let width = |c: usize| self.rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        self.rows.iter().map(|row| self.line(row, &widths, indent)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize], indent: usize) -> String {
        let mut line = " ".repeat(indent);
        for (i, ((cell, width), align)) in row.iter().zip(widths).zip(&self.columns).enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let fill = " ".repeat(width - cell.chars().count());
            match align {
                Align::Left => line.extend([gap, cell, &fill]),
                Align::Right => line.extend([gap, &fill, cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_accents_count_once() {
        let mut t = Table::new([Align::Left, Align::Right, Align::Left]);
        t.row(["é", "1", "a"]);
        t.row(["bb", "22"]);
        assert_eq!(t.lines(2), ["  é    1  a", "  bb  22"]);
    }
}
