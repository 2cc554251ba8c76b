package series

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/connection"
)

// run runs forewarmctl and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "forewarmctl"}
	root.PersistentFlags().String(connection.Flag, "", "")
	root.AddCommand(Commands()...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// demandFile writes twelve days of hours, low by night and high by day.
func demandFile(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("timestamp,value\n")
	for i := range 12 * 24 {
		at := time.Date(2026, 11, 2, i, 0, 0, 0, time.UTC)
		fmt.Fprintf(&text, "%s,%d\n", at.Format(time.DateTime), 10+(at.Hour()/12)*20+i*7%5)
	}
	file := filepath.Join(t.TempDir(), "web_demand.csv")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestForecastOfAFile(t *testing.T) {
	file := demandFile(t)
	table, err := run(t, "forecast", file, "--horizon", "6h")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table, "web_demand: 288 values every 1h0m0s until 2026-11-13T23:00:00Z") || !strings.Contains(table, "P50") || strings.Count(table, "\n") != 2+6 {
		t.Errorf("table:\n%s", table)
	}
	text, err := run(t, "forecast", file, "-o", "csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 25 || rows[0][3] != "q0.05" || rows[24][1] != "2026-11-14T23:00:00Z" || rows[24][2] != "86400" {
		t.Errorf("rows %v, error %v", rows, err)
	}
	text, err = run(t, "forecast", file, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got []jsonForecast
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 1 || len(got[0].Steps) != 24 || len(got[0].Steps[0].Quantiles) != len(got[0].Levels) || got[0].Source == "" {
		t.Errorf("JSON %v, error %v", got, err)
	}
	picture := filepath.Join(t.TempDir(), "fan.svg")
	if _, err := run(t, "forecast", file, "--chart", picture); err != nil {
		t.Fatal(err)
	}
	if drawn, err := os.ReadFile(picture); err != nil || !bytes.Contains(drawn, []byte("web_demand from 2026-11-13 23:00")) {
		t.Errorf("chart of %d bytes, error %v", len(drawn), err)
	}
}

func TestForecastSaysWhatIsWrong(t *testing.T) {
	file := demandFile(t)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no series":        {[]string{"forecast"}, "give either a file or --pool NAME"},
		"two series":       {[]string{"forecast", file, "--pool", "a100"}, "give either a file or --pool NAME"},
		"no pool":          {[]string{"forecast", file, "--prometheus", "http://p:1"}, "say which with --pool"},
		"no such file":     {[]string{"forecast", "none.csv"}, "none.csv"},
		"unknown output":   {[]string{"forecast", file, "-o", "xml"}, "write table, wide, yaml, json or csv"},
		"unknown picture":  {[]string{"forecast", file, "--chart", "fan.gif"}, "*.png or *.svg"},
		"no horizon":       {[]string{"forecast", file, "--horizon", "0s"}, "--horizon 0s"},
		"odd step":         {[]string{"forecast", file, "--step", "7s"}, "divisor of a day"},
		"nothing to score": {[]string{"backtest"}, "at least one of the flags in the group [data pool m4] is required"},
		"no folder":        {[]string{"backtest", "--data", t.TempDir()}, "name the folder of the series"},
		"a stray argument": {[]string{"backtest", "--data", ".", "x"}, `"x" is not expected`},
		"m4 without files": {[]string{"backtest", "--m4"}, "--m4 takes the training file"},
		"import nothing":   {[]string{"history", "import", file}, `required flag(s) "pool" not set`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestHorizonsAreThinnedWhereThereAreMany(t *testing.T) {
	horizons, err := horizonsOf(time.Second, 24*time.Hour)
	if err != nil || len(horizons) != 1440 || horizons[0] != time.Minute || horizons[1439] != 24*time.Hour {
		t.Errorf("%d horizons, error %v", len(horizons), err)
	}
}

func TestBacktestOfAFolder(t *testing.T) {
	file := demandFile(t)
	rows := filepath.Join(t.TempDir(), "rows.csv")
	table, err := run(t, "backtest", "--data", filepath.Dir(file), "--out", rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"web", "all", "last-value", "seasonal-naive", "theta", "ets", "forewarm"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in:\n%s", want, table)
		}
	}
	written, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(string(written), "\n")
	if header != "series,method,origin,step,seconds,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9" || !strings.Contains(string(written), "\nweb_demand,forewarm,264,1,") {
		t.Errorf("%s has header %q", rows, header)
	}
	text, err := run(t, "backtest", "--data", filepath.Dir(file), "-o", "json")
	if err != nil || !json.Valid([]byte(text)) {
		t.Errorf("JSON %s, error %v", text, err)
	}
}

func TestBacktestOfM4(t *testing.T) {
	folder := t.TempDir()
	part := func(name string, from, to int) string {
		var text strings.Builder
		text.WriteString("V1,V2\nH1")
		for i := from; i < to; i++ {
			fmt.Fprintf(&text, ",%d", 100+(i%24)*(1+(i/24)%2))
		}
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	table, err := run(t, "backtest", "--m4", part("train.csv", 0, 720), part("test.csv", 720, 768))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SMAPE", "OWA", "seasonal-naive", "naive2", "forewarm", "1 series, scored on the test file"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in:\n%s", want, table)
		}
	}
}

// TestForecastWithEvents holds that an event to come, with a factor of two, doubles what is expected
// at its hours, and that a file which means nothing is refused.
func TestForecastWithEvents(t *testing.T) {
	file := demandFile(t)
	at := func(args ...string) (p50 []float64) {
		t.Helper()
		text, err := run(t, append([]string{"forecast", file, "--horizon", "6h", "-o", "csv"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		column := slices.Index(rows[0], "q0.5")
		for _, row := range rows[1:] {
			value, err := strconv.ParseFloat(row[column], 64)
			if err != nil {
				t.Fatal(err)
			}
			p50 = append(p50, value)
		}
		return p50
	}
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "events.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := at()
	sale := at("--events", write("- {name: sale, from: 2026-11-14T02:00:00Z, to: 2026-11-14T04:00:00Z, factor: 2}"))
	for i := range plain { // the first is at midnight
		want := plain[i]
		if i == 2 || i == 3 {
			want *= 2
		}
		if sale[i] != want {
			t.Errorf("%d hours ahead %v, want %v, of %v without the sale", i+1, sale[i], want, plain[i])
		}
	}
	for text, want := range map[string]string{
		"- {name: a, since: 2026-11-14T02:00:00Z}":                                                   "unknown field",
		"- {from: 2026-11-14T02:00:00Z, to: 2026-11-14T04:00:00Z}":                                   "[0].name is empty",
		"- {name: a, from: 2026-11-14T02:00:00Z, to: 2026-11-14T04:00:00Z, factor: 0}":               "[0].factor is 0",
		"- {name: a, from: 2026-11-14T02:00:00Z, to: 2026-11-14T04:00:00Z, factor: 2, freeze: true}": "write one of both",
		"- {name: a, from: 2026-11-14T04:00:00Z, to: 2026-11-14T02:00:00Z}":                          "write a later time",
	} {
		if _, err := run(t, "forecast", file, "--events", write(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
