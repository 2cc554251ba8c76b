package seriesfile

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"forewarm.dev/forecast/backtest"
	"forewarm.dev/forecast/history"
)

// Names by which a header calls the columns that are read.
var (
	timeNames  = []string{"timestamp", "time", "ts", "date", "datetime", "ds"}
	valueNames = []string{"value", "demand", "y"}
)

// columns are the places of time and value in a row.
type columns struct{ at, value int }

// mostValues is the longest file, and the longest grid: somewhat more than 60 days of seconds.
const mostValues = 6_000_000

// readTimed reads rows of a time and a value, NaN where it is missing, in time order. A
// header may name the columns; without one there are two.
func readTimed(text *bufio.Reader) ([]history.Sample, error) {
	rows := csv.NewReader(text)
	rows.Comma = separator(text)
	rows.FieldsPerRecord, rows.ReuseRecord, rows.TrimLeadingSpace = -1, true, true
	var samples []history.Sample
	var where columns
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, located(err)
		}
		if first {
			var isHeader bool
			if where, isHeader, err = find(row); err != nil {
				return nil, fmt.Errorf("line 1, column 1: %w", err)
			}
			if isHeader {
				continue
			}
		}
		sample, err := where.read(rows, row)
		if err != nil {
			return nil, err
		}
		if samples = append(samples, sample); len(samples) > mostValues {
			return nil, fmt.Errorf("the file has more than %d rows: give a shorter part of it", mostValues)
		}
	}
	if !slices.ContainsFunc(samples, func(s history.Sample) bool { return !math.IsNaN(s.Demand) }) {
		return nil, errors.New("line 1, column 1: there is no row with a time and a value in the file")
	}
	slices.SortStableFunc(samples, func(a, b history.Sample) int { return a.At.Compare(b.At) })
	return samples, nil
}

// separator is what the first line separates by: a comma, or else a semicolon or a tab.
func separator(text *bufio.Reader) rune {
	start, _ := text.Peek(1024)
	line, _, _ := strings.Cut(string(start), "\n")
	for _, candidate := range []rune{',', ';', '\t'} {
		if strings.ContainsRune(line, candidate) {
			return candidate
		}
	}
	return ','
}

// located words what the CSV reader found, with line and column.
func located(err error) error {
	if parse, is := errors.AsType[*csv.ParseError](err); is {
		return fmt.Errorf("line %d, column %d: %w", parse.Line, parse.Column, parse.Err)
	}
	return err
}

// find reads the first row: a header, or the first time and value.
func find(row []string) (columns, bool, error) {
	if _, err := parseTime(row[0]); err == nil {
		if len(row) != 2 {
			return columns{}, false, fmt.Errorf("%d columns without a header that names them: write a first line with the columns timestamp and value", len(row))
		}
		return columns{0, 1}, false, nil
	}
	named := func(names []string) int {
		return slices.IndexFunc(row, func(word string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(word))) })
	}
	where := columns{named(timeNames), named(valueNames)}
	if where.at < 0 || where.value < 0 {
		return columns{}, false, fmt.Errorf("the first line is %.60q: it must name the columns, as timestamp and value, or hold a time and a value", strings.Join(row, ","))
	}
	return where, true, nil
}

func (c columns) read(rows *csv.Reader, row []string) (history.Sample, error) {
	if last := max(c.at, c.value); len(row) <= last {
		line, _ := rows.FieldPos(0)
		return history.Sample{}, fmt.Errorf("line %d, column %d: the row ends after %d of %d columns", line, 1+len(strings.Join(row, ",")), len(row), last+1)
	}
	at, err := parseTime(row[c.at])
	if err != nil {
		line, column := rows.FieldPos(c.at)
		return history.Sample{}, fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	value, err := backtest.ParseValue(strings.TrimSpace(row[c.value]))
	if err != nil {
		line, column := rows.FieldPos(c.value)
		return history.Sample{}, fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return history.Sample{At: at, Demand: value}, nil
}

// layouts are the forms of a time; without a zone it is in UTC.
var layouts = []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly}

const (
	// firstMillis is where Unix times are read as milliseconds: as seconds it is in the year 5138.
	firstMillis = 1e11
	// lastMillis is in the year 5138 too.
	lastMillis = 1e14
)

func parseTime(word string) (time.Time, error) {
	word = strings.TrimSpace(word)
	if number, err := strconv.ParseFloat(word, 64); err == nil && number >= 0 && number < lastMillis {
		if number < firstMillis {
			number *= 1000
		}
		return time.UnixMilli(int64(number)).UTC(), nil
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, word); err == nil && at.Year() >= 1970 && at.Year() < 5138 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time: write it as 2026-11-24T08:00:00Z, as 2026-11-24 08:00:00 in UTC, or in seconds since 1970", word)
}
