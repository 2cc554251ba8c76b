package backtest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// M4Row is a series of a file of the M4 competition.
type M4Row struct {
	// Name is the competition's, as H1.
	Name string
	// Values are in time order.
	Values []float64
}

// M4Horizon and M4Season are the steps ahead and the season of the hourly series.
const (
	M4Horizon = 48
	M4Season  = 24
)

// ParseM4 reads a file of the competition: a header, then a row per series with its name and
// its values, and nothing in the columns after the last value.
func ParseM4(text string) ([]M4Row, error) {
	lines := csv.NewReader(strings.NewReader(text))
	lines.FieldsPerRecord = -1
	records, err := lines.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("a file of M4 is CSV: %w", err)
	}
	if len(records) < 2 {
		return nil, errors.New("a file of M4 has a header and a row per series")
	}
	var rows []M4Row
	for _, record := range records[1:] {
		row := M4Row{Name: record[0]}
		for i, word := range record[1:] {
			if word == "" {
				break
			}
			value, err := strconv.ParseFloat(word, 64)
			if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
				return nil, fmt.Errorf("series %s, value %d: %q is no finite number", row.Name, i+1, word)
			}
			row.Values = append(row.Values, value)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// M4Score is how point forecasts did by the measures of the competition.
type M4Score struct {
	// SMAPE is the mean of 200 · |actual − forecast| ÷ (|actual| + |forecast|), in per cent.
	SMAPE float64 `json:"smape"`
	// MASE is the mean absolute error ÷ the mean absolute difference of the history to the
	// season before.
	MASE float64 `json:"mase"`
}

// ScoreM4 scores the forecast of one series.
func ScoreM4(history, actual, forecast []float64) M4Score {
	scale := 0.0
	for i := M4Season; i < len(history); i++ {
		scale += math.Abs(history[i]-history[i-M4Season]) / float64(len(history)-M4Season)
	}
	var s M4Score
	n := float64(len(actual))
	for i, value := range actual {
		err := math.Abs(value - forecast[i])
		if err == 0 {
			continue
		}
		s.SMAPE += 200 * err / (math.Abs(value) + math.Abs(forecast[i])) / n
		s.MASE += err / scale / n
	}
	return s
}

// MeanM4 is the mean over series.
func MeanM4(scores []M4Score) M4Score {
	var mean M4Score
	for _, s := range scores {
		mean.SMAPE += s.SMAPE / float64(len(scores))
		mean.MASE += s.MASE / float64(len(scores))
	}
	return mean
}

// OWA is the overall weighted average of the competition: the mean of both measures relative
// to those of Naive2.
func (s M4Score) OWA(naive2 M4Score) float64 {
	return (s.SMAPE/naive2.SMAPE + s.MASE/naive2.MASE) / 2
}

// SeasonalNaiveM4 repeats the last season of a history.
func SeasonalNaiveM4(history []float64) []float64 {
	forecast := make([]float64, M4Horizon)
	for i := range forecast {
		forecast[i] = history[len(history)-M4Season+i%M4Season]
	}
	return forecast
}
