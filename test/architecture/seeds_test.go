package architecture

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestSeeds holds that the fuzz targets of the real tree have seeds.
func TestSeeds(t *testing.T) {
	violations, err := CheckSeeds(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

func TestPlantedSeeds(t *testing.T) {
	const target = "package webhook\nimport \"testing\"\nfunc FuzzOne(f *testing.F) {}\n"
	tests := map[string]struct {
		files map[string]string
		want  string // empty means no violation
	}{
		"with seeds":       {map[string]string{"webhook/a_test.go": target, "webhook/testdata/fuzz/FuzzOne/1": "x"}, ""},
		"without":          {map[string]string{"webhook/a_test.go": target}, "webhook/a_test.go:3: FuzzOne has no seeds"},
		"of another":       {map[string]string{"webhook/a_test.go": target, "webhook/testdata/fuzz/FuzzTwo/1": "x"}, "webhook/testdata/fuzz/FuzzTwo: holds the seeds of no fuzz target"},
		"in another place": {map[string]string{"webhook/total/a_test.go": target, "webhook/testdata/fuzz/FuzzOne/1": "x"}, "webhook/total/a_test.go:3: FuzzOne has no seeds"},
		"of a module":      {map[string]string{"test/tools/go.mod": "module x\n", "test/tools/a_test.go": target}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for file, content := range tt.files {
				tree[file] = &fstest.MapFile{Data: []byte(content)}
			}
			violations, err := CheckSeeds(tree)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, v := range violations {
				got.WriteString(v.String() + "\n")
			}
			if tt.want == "" && got.Len() > 0 || !strings.Contains(got.String(), tt.want) {
				t.Errorf("violations:\n%swant %q", got.String(), tt.want)
			}
		})
	}
}
