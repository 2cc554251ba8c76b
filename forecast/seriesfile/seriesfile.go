// Package seriesfile reads and writes demand series as files: the benchmark data's own form,
// and CSV with a time and a value per row. Either may be gzipped. Whatever the bytes are, the
// answer is a series or an error that names line and column.
package seriesfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
	"forewarm.dev/forecast/history"
)

// mostBytes bounds what is read of a file once it is unpacked. 60 days of seconds have 5.2
// million rows of about 30 bytes.
const mostBytes = 256 << 20

// File is the demand that a file holds.
type File struct {
	// Samples are what was observed, in time order.
	Samples []history.Sample
	// Series holds the samples on a grid; the highest of a step where there are several.
	Series forecast.Series
}

// ReadPath reads the file at a path. Step is as for Read.
func ReadPath(path string, step time.Duration) (File, error) {
	opened, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer opened.Close()
	file, err := Read(opened, step)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Read reads a series. Step is that of the grid; zero means that of the file, as it says
// itself or as its times show.
func Read(packed io.Reader, step time.Duration) (File, error) {
	if step != 0 && (step < time.Second || step > time.Hour || 24*time.Hour%step != 0) {
		return File{}, fmt.Errorf("step %v: give a divisor of a day from 1s to 1h", step)
	}
	text, err := unpack(packed)
	if err != nil {
		return File{}, err
	}
	if first, err := text.Peek(1); err == nil && first[0] == '#' {
		return readPlain(text, step)
	}
	samples, err := readTimed(text)
	if err != nil {
		return File{}, err
	}
	return onGrid(samples, step)
}

// ReadText reads a whole file as text, unpacked where it is gzipped.
func ReadText(path string) (string, error) {
	opened, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	text, err := unpack(opened)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	read, err := io.ReadAll(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(read), nil
}

// unpack looks at the first bytes, whatever the file is called.
func unpack(packed io.Reader) (*bufio.Reader, error) {
	start := bufio.NewReader(packed)
	if magic, _ := start.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return plain(start, mostBytes), nil
	}
	unpacked, err := gzip.NewReader(start)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return plain(unpacked, mostBytes), nil
}

// plain bounds a text and drops its byte order mark.
func plain(r io.Reader, most int) *bufio.Reader {
	text := bufio.NewReader(&bounded{r, most})
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(3)
	}
	return text
}

// bounded fails, rather than ends, where a reader has more than a number of bytes.
type bounded struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errors.New("the file is too large once it is unpacked: give a shorter part of it")
	}
	return n, err
}

// readPlain reads the benchmark data's own form, where every line is a step.
func readPlain(text io.Reader, step time.Duration) (File, error) {
	all, err := io.ReadAll(text)
	if err != nil {
		return File{}, err
	}
	series, err := backtest.ParseSeries(string(all))
	if err != nil {
		return File{}, err
	}
	file := File{Series: series}
	for i, value := range series.Values {
		if !math.IsNaN(value) {
			file.Samples = append(file.Samples, history.Sample{At: series.Start.Add(time.Duration(i) * series.Step), Demand: value})
		}
	}
	if len(file.Samples) == 0 {
		return File{}, errors.New("line 3, column 1: there is no value in the file")
	}
	if step == 0 || step == series.Step {
		return file, nil
	}
	return onGrid(file.Samples, step)
}

// Named is a series with the name of its file.
type Named struct {
	Name   string
	Series forecast.Series
}

// ReadFolder reads every *.csv and *.csv.gz of a folder, or of its folder series where it has
// none itself, by name.
func ReadFolder(folder string) ([]Named, error) {
	var paths []string
	for _, pattern := range []string{"*.csv", "*.csv.gz", "series/*.csv", "series/*.csv.gz"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", folder, err)
		}
		if strings.HasPrefix(pattern, "series") && len(paths) > 0 && filepath.Dir(paths[0]) == filepath.Clean(folder) {
			break
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no *.csv or *.csv.gz in %s or its folder series: name the folder of the series", folder)
	}
	var all []Named
	for _, path := range paths {
		file, err := ReadPath(path, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, Named{NameOf(path), file.Series})
	}
	return all, nil
}

// NameOf is what a series in a file is called: the file's name without its endings.
func NameOf(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".csv")
}
