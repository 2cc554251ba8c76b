package browser

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"forewarm.dev/test/cluster/assets"
)

// pageFolder holds the page that draws dashboards, and what it needs of npm.
const pageFolder = "dashboards"

// servePage serves the page that draws the dashboards of a checkout, and before it a Prometheus, at one origin.
func servePage(t *testing.T, modules, prometheus string) string {
	t.Helper()
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(pageFolder, "page.tsx")}, NodePaths: []string{modules},
		Bundle: true, Format: api.FormatESModule, Target: api.ES2022, JSX: api.JSXAutomatic, MinifyWhitespace: true,
		Define: map[string]string{"process.env.NODE_ENV": `"production"`}, Outdir: "/", Loader: map[string]api.Loader{".ttf": api.LoaderEmpty},
	})
	if len(built.Errors) > 0 {
		t.Fatal(api.FormatMessages(built.Errors, api.FormatMessagesOptions{}))
	}
	target, err := url.Parse(prometheus)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css">`+
			`<body><div id="page"></div><script type="module" src="/page.js"></script>`)
	})
	for _, file := range built.OutputFiles { // page.js and page.css
		mux.HandleFunc("GET "+file.Path, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, file.Path, time.Time{}, bytes.NewReader(file.Contents))
		})
	}
	mux.Handle("GET /api/", httputil.NewSingleHostReverseProxy(target))
	mux.Handle("GET /dashboards/", http.FileServer(http.Dir("../../manifests/monitoring")))
	icons := http.FileServer(http.Dir(filepath.Join(modules, "@grafana", "ui", "dist", "public")))
	mux.Handle("GET /public/build/", http.StripPrefix("/public/build/", icons))
	for name, weight := range map[string]int{"Regular": 400, "Medium": 500} {
		mux.HandleFunc("GET /public/fonts/inter/Inter-"+name+".woff2", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(modules, "@fontsource", "inter", "files", fmt.Sprintf("inter-latin-%d-normal.woff2", weight)))
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// modulesOf has npm install what the page needs into the cache, once for each lockfile; it returns where it is.
func modulesOf(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("no npm, which installs Grafana's components: Debian's package is called npm")
	}
	store, err := assets.Open()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(pageFolder, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(store.Cache, "npm")
	place := filepath.Join(cache, fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(place); err == nil {
		return filepath.Join(place, "node_modules")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	// It is made beside its place, and moved there whole.
	work, err := os.MkdirTemp(cache, ".installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.CopyFS(work, os.DirFS(pageFolder)); err != nil {
		t.Fatal(err)
	}
	t.Log("npm installs Grafana's components, which takes a minute or two, once")
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = work
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(work, place); err != nil && !os.IsExist(err) { // another clone may have been sooner
		t.Fatal(err)
	}
	return filepath.Join(place, "node_modules")
}
