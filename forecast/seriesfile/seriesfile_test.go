package seriesfile

import (
	"bytes"
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
)

var start = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestRead(t *testing.T) {
	nan := math.NaN()
	for name, test := range map[string]struct {
		text string
		step time.Duration
		want forecast.Series
	}{
		"a header": {
			"timestamp,value\n2026-11-02 00:00:00,1\n2026-11-02 00:05:00,2.5\n2026-11-02 00:15:00,4\n", 0,
			forecast.Series{Start: start, Step: 5 * time.Minute, Values: []float64{1, 2.5, nan, 4}},
		},
		"no header, and RFC 3339 with zones": {
			"2026-11-02T01:00:00+01:00,1\n2026-11-02T00:01:00Z,2\n", 0,
			forecast.Series{Start: start, Step: time.Minute, Values: []float64{1, 2}},
		},
		"other names, order and columns": {
			"pool;Demand;time\na;3;2026-11-02 01:00\nb;4;2026-11-02 00:00\n", 0,
			forecast.Series{Start: start, Step: time.Hour, Values: []float64{4, 3}},
		},
		"seconds since 1970, drifting, and a missing value": {
			"time,value\n1793577600,1\n1793577901,\n1793578201.5,3\n1793578499,4", 0,
			forecast.Series{Start: start, Step: 5 * time.Minute, Values: []float64{1, nan, 4}}, // both of the third step
		},
		"milliseconds, tabs, and the highest of a step": {
			"ts\ty\n1793577600000\t1\n1793577600500\t7\n1793577601000\t2\n1793577602000\t3\n1793577603000\t3\n", 0,
			forecast.Series{Start: start, Step: time.Second, Values: []float64{7, 2, 3, 3}},
		},
		"a step of one's own": {
			"2026-11-02 00:00,1\n2026-11-02 00:30,5\n2026-11-02 01:00,2\n", time.Hour,
			forecast.Series{Start: start, Step: time.Hour, Values: []float64{5, 2}},
		},
		"a byte order mark and Windows lines": {
			"\ufefftimestamp,value\r\n2026-11-02,1\r\n2026-11-02 00:01,2\r\n", 0,
			forecast.Series{Start: start, Step: time.Minute, Values: []float64{1, 2}},
		},
		"one row": {"2026-11-02,7", 0, forecast.Series{Start: start, Step: time.Minute, Values: []float64{7}}},
		"benchmark data": {
			"# name=x start=2026-11-02T00:00:00 step_s=300 n=4\nvalue\n1\n\n2.5\n\n", 0,
			forecast.Series{Start: start, Step: 5 * time.Minute, Values: []float64{1, nan, 2.5, nan}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, data := range [][]byte{[]byte(test.text), zipped(t, test.text)} {
				file, err := Read(bytes.NewReader(data), test.step)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, file.Series, cmpopts.EquateNaNs()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestWhatIsWrongIsNamedByLineAndColumn(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":                     {"", "line 1, column 1: there is no row"},
		"only a header":             {"timestamp,value\n", "there is no row"},
		"no time":                   {"timestamp,value\n2026-11-02,1\nsoon,2\n", `line 3, column 1: "soon" is no time: write it as`},
		"no number":                 {"timestamp,value\n2026-11-02,1\n2026-11-03,many\n", `line 3, column 12: "many" is no finite number`},
		"infinite":                  {"2026-11-02,inf\n", `line 1, column 12: "inf" is no finite number`},
		"short row":                 {"timestamp,value\n2026-11-02\n", "line 2, column 11: the row ends after 1 of 2 columns"},
		"open quote":                {"timestamp,value\n\"2026-11-02,1\n", `line 2, column 15: extraneous or missing " in quoted-field`},
		"unknown columns":           {"when,what\n1,2\n", `line 1, column 1: the first line is "when,what": it must name the columns`},
		"three columns, no header":  {"2026-11-02,1,2\n", "line 1, column 1: 3 columns without a header"},
		"days apart":                {"2026-11-02,1\n2026-11-03,2\n2026-11-04,3\n", "the values are 24h0m0s apart"},
		"decades of seconds":        {"1,1\n2,2\n3,3\n1793577600,4\n", "more than 6000000 steps of 1s"},
		"benchmark data, no step":   {"# name=x\nvalue\n1\n", "line 1, column 1: step_s is missing"},
		"benchmark data, odd step":  {"# name=x step_s=7\nvalue\n1\n", `line 1, column 10: step_s is "7"`},
		"benchmark data, no number": {"# step_s=300\nvalue\n1\n  x\n", `line 4, column 3: "x" is no finite number`},
		"benchmark data, no value":  {"# step_s=300\nvalue\n\n\n", "there is no value"},
		"cut off gzip":              {"\x1f\x8b\x08", "gzip: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(test.text), 0); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := Read(strings.NewReader("2026-11-02,1"), 7*time.Second); err == nil || !strings.Contains(err.Error(), "divisor of a day") {
		t.Errorf("a step of 7s: error %v", err)
	}
}

func TestWhatIsTooLargeIsRefusedAndNotCutOff(t *testing.T) {
	text := strings.Repeat("2026-11-02,1\n", 10)
	for most, want := range map[int]string{len(text): "", len(text) - 1: "too large"} {
		_, err := readTimed(plain(strings.NewReader(text), most))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d of %d bytes: error %v", most, len(text), err)
		}
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	samples := []history.Sample{{At: start, Demand: 1}, {At: start.Add(1500 * time.Millisecond), Demand: 0.1}, {At: start.Add(3 * time.Second), Demand: 1e6}}
	var text bytes.Buffer
	if err := Write(&text, samples); err != nil {
		t.Fatal(err)
	}
	file, err := Read(&text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(samples, file.Samples); diff != "" {
		t.Error(diff)
	}
}

func TestReadFolder(t *testing.T) {
	folder := t.TempDir()
	if _, err := ReadFolder(folder); err == nil || !strings.Contains(err.Error(), "name the folder of the series") {
		t.Errorf("an empty folder: error %v", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "series"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"web_a.csv": []byte("2026-11-02,1\n"), "gpu_b.csv.gz": zipped(t, "2026-11-02,2\n")} {
		if err := os.WriteFile(filepath.Join(folder, "series", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ReadFolder(folder)
	if err != nil || len(all) != 2 || all[0].Name != "web_a" || all[1].Name != "gpu_b" || all[1].Series.Values[0] != 2 {
		t.Errorf("series %v, error %v", all, err)
	}
	broken := filepath.Join(folder, "broken.csv")
	if err := os.WriteFile(broken, []byte("2026-11-02,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFolder(folder); err == nil || !strings.Contains(err.Error(), broken+": line 1, column 12") {
		t.Errorf("error %v, want the file, line and column", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"timestamp,value\n2026-11-02 00:00:00,1\n2026-11-02 00:05:00,2.5\n", "# name=x start=2026-11-02T00:00:00 step_s=300\nvalue\n1\n\nNaN\n",
		"1,1\n1793577600,4\n", "time;demand\n1e9;-1\n2e9;0x1p4\n", "\ufeff2026-11-02,1e308\n", "\"a\nb\",c\n", "# step_s=3600\nvalue\n", "\x1f\x8b",
	} {
		f.Add([]byte(seed))
		f.Add(zipped(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(bytes.NewReader(data), 0)
		if err != nil {
			return
		}
		if n := len(file.Series.Values); n == 0 || n > mostValues && data[0] != '#' || file.Series.Step < time.Second || file.Series.Step > time.Hour || len(file.Samples) == 0 {
			t.Fatalf("%d values every %v of %d samples", n, file.Series.Step, len(file.Samples))
		}
		for i, sample := range file.Samples {
			if math.IsNaN(sample.Demand) || math.IsInf(sample.Demand, 0) || i > 0 && sample.At.Before(file.Samples[i-1].At) {
				t.Fatalf("sample %d is %v", i, sample)
			}
		}
	})
}
