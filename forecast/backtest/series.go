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
// empty where one is missing.
func ParseSeries(text string) (forecast.Series, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "#") || strings.TrimSpace(lines[1]) != "value" {
		return forecast.Series{}, errors.New(`a series starts with a line "# name= start= step_s=" and a line "value"`)
	}
	series, err := parseHeader(lines[0])
	if err != nil {
		return forecast.Series{}, err
	}
	for i, line := range lines[2:] {
		value := math.NaN()
		if line = strings.TrimSpace(line); line != "" {
			var err error
			if value, err = strconv.ParseFloat(line, 64); err != nil {
				return forecast.Series{}, fmt.Errorf("line %d: %w", i+3, err)
			}
		}
		series.Values = append(series.Values, value)
	}
	return series, nil
}

func parseHeader(line string) (forecast.Series, error) {
	var series forecast.Series
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "step_s":
			var seconds int
			seconds, err = strconv.Atoi(value)
			series.Step = time.Duration(seconds) * time.Second
		case "start":
			series.Start, err = time.Parse("2006-01-02T15:04:05", value)
		}
		if err != nil {
			return forecast.Series{}, fmt.Errorf("line 1, %s: %w", name, err)
		}
	}
	if series.Step <= 0 || series.Step > time.Hour || day%series.Step != 0 {
		return forecast.Series{}, fmt.Errorf("line 1: step_s is %v; it must be a divisor of a day from 1 to 3600", series.Step.Seconds())
	}
	return series, nil
}
