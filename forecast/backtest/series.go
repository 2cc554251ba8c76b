package backtest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"forewarm.dev/forecast"
)

// ParseSeries reads a series of the benchmark data: a first line of "# key=value" words,
// with step_s in seconds and start in UTC, a line that says "value", then one value a line,
// empty where one is missing. Errors name the line and the column of the byte.
func ParseSeries(text string) (forecast.Series, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "#") || strings.TrimSpace(lines[1]) != "value" {
		return forecast.Series{}, errors.New(`line 1, column 1: a series starts with a line "# name= start= step_s=" and a line "value"`)
	}
	series, err := parseHeader(lines[0])
	if err != nil {
		return forecast.Series{}, err
	}
	for i, line := range lines[2:] {
		value, err := ParseValue(strings.TrimSpace(line))
		if err != nil {
			return forecast.Series{}, fmt.Errorf("line %d, column %d: %w", i+3, 1+strings.Index(line, strings.TrimSpace(line)), err)
		}
		series.Values = append(series.Values, value)
	}
	return series, nil
}

// ParseValue reads a value of a series: NaN where nothing, or NaN, is written.
func ParseValue(word string) (float64, error) {
	if word == "" {
		return math.NaN(), nil
	}
	value, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsInf(value, 0) {
		return 0, fmt.Errorf("%.40q is no finite number: write one, or nothing where it is missing", word)
	}
	return value, nil
}

func parseHeader(line string) (forecast.Series, error) {
	var series forecast.Series
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		column := 1 + strings.Index(line, word)
		switch name {
		case "step_s":
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds < 1 || seconds > 3600 || 86400%seconds != 0 {
				return forecast.Series{}, fmt.Errorf("line 1, column %d: step_s is %.40q; it must be a divisor of a day from 1 to 3600", column, value)
			}
			series.Step = time.Duration(seconds) * time.Second
		case "start":
			start, err := time.Parse("2006-01-02T15:04:05", value)
			if err != nil {
				return forecast.Series{}, fmt.Errorf("line 1, column %d: start is %.40q; write it in UTC as 2026-11-02T00:00:00", column, value)
			}
			series.Start = start
		}
	}
	if series.Step == 0 {
		return forecast.Series{}, errors.New("line 1, column 1: step_s is missing: write the seconds between two values, as step_s=300")
	}
	return series, nil
}
