package architecture

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTree holds the rules on the real tree.
func TestTree(t *testing.T) {
	violations, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// sound is a tree that breaks no rule; each case of TestPlanted spoils it.
var sound = map[string]string{
	"go.mod":                     "module forewarm.dev\n",
	"Makefile":                   "help:\n",
	"README.md":                  "# Forewarm\n",
	"cmd/webhook/main.go":        "package main\nimport (_ \"forewarm.dev/webhook/handler\"; _ \"forewarm.dev/api/v1alpha1\")\n",
	"api/v1alpha1/a.go":          "package v1alpha1\nimport _ \"k8s.io/apimachinery/pkg/runtime\"\n",
	"forecast/a.go":              "package forecast\nimport (\"math/rand/v2\"; \"time\"; _ \"gonum.org/v1/gonum/stat\")\nfunc f(r *rand.Rand) time.Duration { return time.Duration(r.Int64()) }\nvar _ = rand.New\n",
	"forecast/a_test.go":         "package forecast\nimport (\"os\"; \"time\")\nvar _, _ = os.Args, time.Now\n",
	"forecast/backtest/a.go":     "package backtest\nimport _ \"forewarm.dev/forecast\"\n",
	"capacity/a.go":              "package capacity\nimport (_ \"forewarm.dev/forecast\"; _ \"forewarm.dev/internal/quantity\"; _ \"k8s.io/api/core/v1\")\n",
	"capacity/simulate/a.go":     "package simulate\nimport _ \"forewarm.dev/capacity\"\n",
	"capacity/reserver/a.go":     "package reserver\nimport (\"time\"; _ \"forewarm.dev/forecast/forecaster\"; _ \"k8s.io/client-go/kubernetes\")\nvar _ = time.Now\nfunc f() { go f() }\n",
	"internal/quantity/a.go":     "package quantity\n",
	"webhook/a.go":               "package webhook\nimport _ \"forewarm.dev/internal/quantity\"\n",
	"webhook/handler/a.go":       "package handler\nimport (_ \"forewarm.dev/webhook\"; _ \"net/http\")\n",
	"webhook/handler/a_test.go":  "package handler\nimport _ \"forewarm.dev/test/cluster\"\n",
	"extender/a.go":              "package extender\n",
	"test/demo/main.go":          "package main\nimport _ \"forewarm.dev/test/cluster\"\n",
	"test/tools/go.mod":          "module forewarm.dev/test/tools\n",
	"test/tools/pkg/util/a.go":   "package util\n",
	"webhook/testdata/core/a.go": "package core\n",
	"bin/x/a.go":                 "package util\n",
	".ci/run":                    "make test\n",
}

func TestPlanted(t *testing.T) {
	tests := map[string]struct {
		file, content string
		want          string // empty means no violation
	}{
		"nothing":                               {file: "docs/a.md", content: "text"},
		"webhook root imports a client":         {"webhook/b.go", "package webhook\nimport _ \"k8s.io/client-go/kubernetes\"\n", "webhook/b.go:2: pure package imports k8s.io/client-go/kubernetes"},
		"webhook root imports API types":        {"webhook/b.go", "package webhook\nimport _ \"forewarm.dev/api/v1alpha1\"\n", "pure package imports forewarm.dev/api/v1alpha1"},
		"webhook root imports its child":        {"webhook/b.go", "package webhook\nimport _ \"forewarm.dev/webhook/handler\"\n", "pure package imports forewarm.dev/webhook/handler"},
		"extender root reads the environment":   {"extender/b.go", "package extender\nimport \"os\"\nvar _ = os.Getenv\n", "pure package imports os"},
		"extender root speaks HTTP":             {"extender/b.go", "package extender\nimport _ \"net/http\"\n", "pure package imports net/http"},
		"capacity root logs":                    {"capacity/b.go", "package capacity\nimport _ \"log/slog\"\n", "pure package imports log/slog"},
		"capacity root imports its adapter":     {"capacity/b.go", "package capacity\nimport _ \"forewarm.dev/forecast/history\"\n", "pure package imports forewarm.dev/forecast/history"},
		"simulate starts a goroutine":           {"capacity/simulate/b.go", "package simulate\nfunc f() {\n\tgo f()\n}\n", "capacity/simulate/b.go:3: pure package starts a goroutine"},
		"forecast reads the clock":              {"forecast/b.go", "package forecast\nimport \"time\"\nvar _ = time.Now()\n", "forecast/b.go:3: pure package uses time.Now"},
		"forecast reads the clock under alias":  {"forecast/b.go", "package forecast\nimport clock \"time\"\nvar _ = clock.Since\n", "pure package uses clock.Since"},
		"forecast rolls unseeded dice":          {"forecast/b.go", "package forecast\nimport \"math/rand/v2\"\nvar _ = rand.Float64()\n", "pure package uses rand.Float64"},
		"forecast imports math/rand":            {"forecast/b.go", "package forecast\nimport _ \"math/rand\"\n", "pure package imports math/rand"},
		"forecast prints":                       {"forecast/b.go", "package forecast\nimport \"fmt\"\nfunc f() { fmt.Println() }\n", "pure package uses fmt.Println"},
		"forecast imports Kubernetes types":     {"forecast/b.go", "package forecast\nimport _ \"k8s.io/api/core/v1\"\n", "pure package imports k8s.io/api/core/v1"},
		"backtest imports capacity":             {"forecast/backtest/b.go", "package backtest\nimport _ \"forewarm.dev/capacity\"\n", "forecast imports capacity"},
		"quantity imports config":               {"internal/quantity/b.go", "package quantity\nimport _ \"forewarm.dev/internal/config\"\n", "pure package imports forewarm.dev/internal/config"},
		"an adapter imports another feature":    {"webhook/handler/b.go", "package handler\nimport _ \"forewarm.dev/capacity\"\n", "webhook imports capacity: features meet in API objects only"},
		"extender imports capacity":             {"extender/handler/b.go", "package handler\nimport _ \"forewarm.dev/capacity\"\n", "extender imports capacity"},
		"forecast adapter imports the reserver": {"forecast/forecaster/b.go", "package forecaster\nimport _ \"forewarm.dev/capacity/reserver\"\n", "forecast imports capacity/reserver"},
		"API types import a feature":            {"api/v1alpha1/b.go", "package v1alpha1\nimport _ \"forewarm.dev/internal/config\"\n", "API types depend on nothing of ours"},
		"something imports a command":           {"internal/observe/b.go", "package observe\nimport _ \"forewarm.dev/cmd/webhook\"\n", "nothing imports a command but itself"},
		"a command imports a part of its own":   {"cmd/webhook/b.go", "package main\nimport _ \"forewarm.dev/cmd/webhook/part\"\n", ""},
		"a part imports a part beside it":       {"cmd/webhook/part/b.go", "package part\nimport _ \"forewarm.dev/cmd/webhook/another\"\n", ""},
		"a part imports another command":        {"cmd/webhook/part/b.go", "package part\nimport _ \"forewarm.dev/cmd/extender\"\n", "nothing imports a command but itself"},
		"a program imports test":                {"cmd/webhook/b.go", "package main\nimport _ \"forewarm.dev/test/cluster\"\n", "only tests import test/"},
		"a vague package name":                  {"internal/utils/b.go", "package utils\n", "package name utils says nothing"},
		"a vague clause in a good folder":       {"internal/clock/b.go", "package helper\n", "package name helper says nothing"},
		"a pkg folder":                          {"internal/pkg/clock/b.go", "package clock\n", "internal/pkg: no pkg folder"},
		"another top folder":                    {"billing/b.go", "package billing\n", "billing: is not one of the top folders"},
		"a long main":                           {"cmd/webhook/main.go", "package main\n" + strings.Repeat("\n", 60), "cmd/webhook/main.go: has 61 lines, at most 60"},
		"a long Makefile":                       {"Makefile", strings.Repeat("\n", 201), "Makefile: has 201 lines, at most 200"},
		"a long README":                         {"README.md", strings.Repeat("\n", 151), "README.md: has 151 lines, at most 150"},
		"a long file":                           {"webhook/b.go", "package webhook\n" + strings.Repeat("\n", 400), "webhook/b.go: has 401 lines, at most 400"},
		"a large package":                       {"webhook/handler/b.go", "package handler\n" + strings.Repeat("\n", 390), "webhook/handler: has 2727 lines without tests, at most 2500"},
		"a large package of tests":              {"webhook/handler/b_test.go", "package handler\n" + strings.Repeat("\n", 390), ""},
		"generated code may be long":            {"api/v1alpha1/zz_generated.deepcopy.go", "package v1alpha1\n" + strings.Repeat("\n", 900), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(sound)
			for i := range 6 { // nearly as much as a package may have
				files[fmt.Sprintf("webhook/handler/large%d.go", i)] = "package handler\n" + strings.Repeat("\n", 388)
			}
			files[tt.file] = tt.content
			tree := fstest.MapFS{}
			for path, content := range files {
				tree[path] = &fstest.MapFile{Data: []byte(content)}
			}
			violations, err := Check(tree)
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
