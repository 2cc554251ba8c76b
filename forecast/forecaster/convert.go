package forecaster

import (
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
)

// recordOf converts a ForecastModel. One whose status was never written has no record.
func recordOf(object *v1alpha1.ForecastModel) (champion.Record, error) {
	status := object.Status
	record := champion.Record{
		Pinned: object.Spec.Version, Champion: status.Champion, Previous: status.Previous,
		Tried: timeOf(status.Retrained), Degraded: status.Degraded,
	}
	for i, v := range status.Versions {
		version, err := versionOf(v)
		if err != nil {
			return champion.Record{}, fmt.Errorf("status.versions[%d].%w", i, err)
		}
		record.Versions = append(record.Versions, version)
	}
	if len(record.Versions) > 0 && !record.Sound() {
		return champion.Record{}, fmt.Errorf("status.champion is %d, which is no version that can be used: delete the object to begin anew", record.Champion)
	}
	return record, nil
}

func versionOf(v v1alpha1.ForecastVersion) (champion.Version, error) {
	version := champion.Version{
		Number: v.Number, Settings: champion.Settings{Model: forecast.Source(v.Model)},
		Trained: v.Trained.Time, From: timeOf(v.From), To: timeOf(v.To),
		Against: v.Against, Outcome: champion.Outcome(v.Outcome), Reason: champion.Reason(v.Reason),
	}
	if v.Window != nil {
		version.Window = v.Window.Duration
	}
	for _, season := range v.Seasons {
		version.Seasons = append(version.Seasons, season.Duration)
	}
	numbers := []struct {
		field, value string
		to           *float64
	}{{"better", v.Better, &version.Better}, {"probability", v.Probability, &version.Probability}}
	if v.Score != nil {
		version.Score.Origins = int(v.Score.Origins)
		numbers = append(numbers, []struct {
			field, value string
			to           *float64
		}{{"score.loss", v.Score.Loss, &version.Score.Loss}, {"score.coverage", v.Score.Coverage, &version.Score.Coverage}}...)
	}
	for _, n := range numbers {
		if n.value == "" {
			continue
		}
		number, err := strconv.ParseFloat(n.value, 64)
		if err != nil {
			return version, fmt.Errorf("%s: %w", n.field, err)
		}
		*n.to = number
	}
	return version, nil
}

func statusOf(record champion.Record) v1alpha1.ForecastModelStatus {
	status := v1alpha1.ForecastModelStatus{
		Champion: record.Champion, Previous: record.Previous, Retrained: timeIn(record.Tried), Degraded: record.Degraded,
	}
	for _, v := range record.Versions {
		row := v1alpha1.ForecastVersion{
			Number: v.Number, Model: string(v.Model), Trained: metav1.NewTime(v.Trained), From: timeIn(v.From), To: timeIn(v.To),
			Against: v.Against, Outcome: string(v.Outcome), Reason: string(v.Reason),
		}
		if v.Window > 0 {
			row.Window = &metav1.Duration{Duration: v.Window}
		}
		for _, season := range v.Seasons {
			row.Seasons = append(row.Seasons, metav1.Duration{Duration: season})
		}
		if v.Against != 0 {
			row.Better, row.Probability = decimal(v.Better), decimal(v.Probability)
		}
		if v.Score.Origins > 0 {
			row.Score = &v1alpha1.ForecastScore{Loss: decimal(v.Score.Loss), Coverage: decimal(v.Score.Coverage), Origins: int32(v.Score.Origins)}
		}
		status.Versions = append(status.Versions, row)
	}
	return status
}

// decimal has four significant digits.
func decimal(value float64) string { return strconv.FormatFloat(value, 'g', 4, 64) }

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func timeIn(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}
