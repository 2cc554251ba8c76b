package main

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTableOfASeries(t *testing.T) {
	folder := t.TempDir()
	file, err := os.Create(filepath.Join(folder, "made_1h.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(file)
	fmt.Fprintln(packed, "# name=made start=2026-11-02T00:00:00 step_s=3600 n=720\nvalue")
	for i := range 720 {
		fmt.Fprintln(packed, 10+i%24+i*i%3)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rows := filepath.Join(folder, "rows.csv")
	if err := run(folder, rows, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"made", "all", "1h", "24h", "LastValue", "SameSlot", "Theta", "ETS", "Combined", "Auto"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	written, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(written), "\n"); n != 1+6*8*24 {
		t.Errorf("%d rows, want a header and 6 models × 8 cuts × 24 steps", n)
	}
}

func TestAFolderWithoutSeriesIsRefused(t *testing.T) {
	for name, folder := range map[string]string{"none given": "", "empty": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			if err := run(folder, "", &strings.Builder{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}
