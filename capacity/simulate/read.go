package simulate

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// columns that a trace of jobs must have; others are ignored.
var columns = []string{"timestamp", "duration", "num_gpus", "cluster"}

// Row is one job of a trace.
type Row struct {
	At      time.Time
	Run     time.Duration
	GPUs    int
	Cluster string
}

// Unpack reads what is gzipped, and all else as it is.
func Unpack(text io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(text)
	if magic, _ := buffered.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return buffered, nil
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("unzip: %w", err)
	}
	return unzipped, nil
}

// ReadJobs reads the rows of a trace. The error names the line and the column, and says what to
// write instead.
func ReadJobs(text io.Reader) ([]Row, error) {
	reader := csv.NewReader(text)
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("read the header line: %w; it must name the columns %s", err, strings.Join(columns, ", "))
	}
	place := map[string]int{}
	for i, name := range header {
		place[strings.TrimSpace(name)] = i
	}
	var missing []string
	for _, name := range columns {
		if _, ok := place[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("column %s is missing; the header line has %s and must have %s",
			strings.Join(missing, ", "), strings.Join(header, ", "), strings.Join(columns, ", "))
	}
	var rows []Row
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		r, err := parseRow(fields, place)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, errors.New("no jobs below the header line")
	}
	return rows, nil
}

func parseRow(fields []string, place map[string]int) (Row, error) {
	get := func(name string) string { return strings.TrimSpace(fields[place[name]]) }
	at, err := ParseTime(get("timestamp"))
	if err != nil {
		return Row{}, fmt.Errorf("timestamp: %w", err)
	}
	seconds, err := strconv.ParseFloat(get("duration"), 64)
	if err != nil || !(seconds >= 0) || seconds > 1e9 {
		return Row{}, fmt.Errorf("duration %q: write seconds from 0 to 1e9", get("duration"))
	}
	gpus, err := strconv.ParseFloat(get("num_gpus"), 64)
	if err != nil || gpus != float64(int(gpus)) || gpus < 0 || gpus > 10000 {
		return Row{}, fmt.Errorf("num_gpus %q: write a whole number from 0 to 10000", get("num_gpus"))
	}
	return Row{at, time.Duration(seconds * float64(time.Second)), int(gpus), get("cluster")}, nil
}

// ParseTime reads a UTC time as text, or seconds.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.DateTime, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0) || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("%q: write %s in UTC, or seconds from 0 on", text, time.DateTime)
	}
	return time.Unix(0, 0).UTC().Add(time.Duration(seconds * float64(time.Second))), nil
}
