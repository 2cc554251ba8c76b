// Package assets finds and builds the programs that the tests, the demo and `make verify`
// need: the control plane, KWOK, Karpenter, and the linters. They lie in a cache outside the
// checkout, keyed by version, so that a second clone reuses them. Versions are written once,
// in the go.mod files of the recipe modules.
package assets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// Names of the assets. Those of CRDs are folders, all others programs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	Scheduler         = "kube-scheduler"
	ControllerManager = "kube-controller-manager"
	KWOK              = "kwok"
	Karpenter         = "karpenter"
	KarpenterCRDs     = "karpenter-crds"
	Prometheus        = "prometheus"
	Promtool          = "promtool"
	ControllerGen     = "controller-gen"
	GolangCILint      = "golangci-lint"
	Gatekeeper        = "gatekeeper"
	GatekeeperCRDs    = "gatekeeper-crds"
	Kyverno           = "kyverno"
	KyvernoCRDs       = "kyverno-crds"
	// Scheduler136 and Scheduler135 are older versions of Scheduler.
	Scheduler136 = "1.36/kube-scheduler"
	Scheduler135 = "1.35/kube-scheduler"
)

// ControlPlane lists what the launcher in test/cluster starts; Linters what `make verify`
// runs; Peers what `make bench-webhook PEERS=1` measures beside Forewarm; Schedulers what
// `make test-schedulers` runs instead of the newest.
var (
	ControlPlane = []string{Etcd, APIServer, Scheduler, ControllerManager, KWOK, Karpenter, KarpenterCRDs, Prometheus, Promtool}
	Linters      = []string{ControllerGen, GolangCILint}
	Peers        = []string{Gatekeeper, GatekeeperCRDs, Kyverno, KyvernoCRDs}
	Schedulers   = []string{Scheduler136, Scheduler135}
)

// recipe says how an asset is made.
type recipe struct {
	// folder is where the module that pins the version lies, below the root of the checkout.
	folder string
	// module is the module that holds the asset; its version becomes part of the cache key.
	module string
	// program is the import path of the main package; empty for a folder of files.
	program string
	// tags are the build tags of the program.
	tags string
	// copies are the folders of the module whose files make up a folder asset.
	copies []string
}

const (
	kubernetesModule = "k8s.io/kubernetes"
	kubernetesRecipe = "test/cluster/kubernetes" // the newest; older ones are folders below it
	karpenterRecipe  = "test/cluster/karpenter"
	prometheusRecipe = "test/cluster/prometheus"
	toolsRecipe      = "test/tools"
	gatekeeperRecipe = "test/bench/peers/gatekeeper"
	kyvernoRecipe    = "test/bench/peers/kyverno"
	schedulerRecipes = "test/cluster/schedulers" // one below it for each version
)

// recipes holds every asset. Module zips drop symbolic links, so Karpenter's CRDs are read
// from the two folders that really hold them.
var recipes = map[string]recipe{
	Etcd:              {folder: kubernetesRecipe, module: "go.etcd.io/etcd/server/v3", program: "go.etcd.io/etcd/server/v3"},
	APIServer:         {folder: kubernetesRecipe, module: kubernetesModule, program: "k8s.io/kubernetes/cmd/kube-apiserver"},
	Scheduler:         {folder: kubernetesRecipe, module: kubernetesModule, program: "k8s.io/kubernetes/cmd/kube-scheduler"},
	ControllerManager: {folder: kubernetesRecipe, module: kubernetesModule, program: "k8s.io/kubernetes/cmd/kube-controller-manager"},
	Scheduler136:      {folder: schedulerRecipes + "/1.36", module: kubernetesModule, program: "k8s.io/kubernetes/cmd/kube-scheduler"},
	Scheduler135:      {folder: schedulerRecipes + "/1.35", module: kubernetesModule, program: "k8s.io/kubernetes/cmd/kube-scheduler"},
	KWOK:              {folder: kubernetesRecipe, module: "sigs.k8s.io/kwok", program: "sigs.k8s.io/kwok/cmd/kwok"},
	Karpenter:         {folder: karpenterRecipe, module: "sigs.k8s.io/karpenter", program: "sigs.k8s.io/karpenter/kwok"},
	KarpenterCRDs:     {folder: karpenterRecipe, module: "sigs.k8s.io/karpenter", copies: []string{"kwok/charts/crds", "kwok/apis/crds"}},
	// Without the clouds' libraries for service discovery, which take most of the build.
	Prometheus:     {folder: prometheusRecipe, module: "github.com/prometheus/prometheus", program: "github.com/prometheus/prometheus/cmd/prometheus", tags: "remove_all_sd"},
	Promtool:       {folder: prometheusRecipe, module: "github.com/prometheus/prometheus", program: "github.com/prometheus/prometheus/cmd/promtool", tags: "remove_all_sd"},
	ControllerGen:  {folder: toolsRecipe, module: "sigs.k8s.io/controller-tools", program: "sigs.k8s.io/controller-tools/cmd/controller-gen"},
	GolangCILint:   {folder: toolsRecipe, module: "github.com/golangci/golangci-lint/v2", program: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
	Gatekeeper:     {folder: gatekeeperRecipe, module: "github.com/open-policy-agent/gatekeeper/v3", program: "github.com/open-policy-agent/gatekeeper/v3"},
	GatekeeperCRDs: {folder: gatekeeperRecipe, module: "github.com/open-policy-agent/gatekeeper/v3", copies: []string{"charts/gatekeeper/crds"}},
	Kyverno:        {folder: kyvernoRecipe, module: "github.com/kyverno/kyverno", program: "github.com/kyverno/kyverno/cmd/kyverno"},
	KyvernoCRDs: {folder: kyvernoRecipe, module: "github.com/kyverno/kyverno", copies: []string{
		"config/crds/kyverno", "config/crds/policies.kyverno.io", "config/crds/policyreport", "config/crds/reports",
	}},
}

// Store is where assets are looked for and built into.
type Store struct {
	// Root is the root of the checkout, which holds the recipes.
	Root string
	// Cache is the folder outside the checkout, $FOREWARM_CACHE.
	Cache string
	// Prebuilt is a folder of programs that come first, $KUBEBUILDER_ASSETS; may be empty.
	Prebuilt string
	// Kubernetes is the folder whose recipe builds the API server, the scheduler and the
	// controller manager, by the version that $FOREWARM_KUBE asks for; empty for the newest.
	Kubernetes string
}

// Open finds the checkout around the working folder, and the cache.
func Open() (Store, error) {
	root, err := findRoot()
	if err != nil {
		return Store{}, err
	}
	cache := os.Getenv("FOREWARM_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return Store{}, fmt.Errorf("find the user's cache folder: %w; set FOREWARM_CACHE to a folder to build into", err)
		}
		cache = filepath.Join(user, "forewarm")
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return Store{}, fmt.Errorf("find the cache folder: %w", err)
	}
	store := Store{Root: root, Cache: cache, Prebuilt: os.Getenv("KUBEBUILDER_ASSETS")}
	store.Kubernetes, err = store.kubernetes(os.Getenv("FOREWARM_KUBE"))
	return store, err
}

// kubernetes finds the recipe that builds a version of Kubernetes, such as 1.31.14.
func (s Store) kubernetes(version string) (string, error) {
	if version == "" {
		return "", nil
	}
	older, err := filepath.Glob(filepath.Join(s.Root, kubernetesRecipe, "*", "go.mod"))
	if err != nil {
		return "", err
	}
	folders := []string{kubernetesRecipe}
	for _, path := range slices.Backward(older) {
		folders = append(folders, kubernetesRecipe+"/"+filepath.Base(filepath.Dir(path)))
	}
	versions := make([]string, len(folders))
	for i, folder := range folders {
		pinned, err := s.version(recipe{folder: folder, module: kubernetesModule})
		if err != nil {
			return "", err
		}
		if versions[i] = strings.TrimPrefix(pinned, "v"); versions[i] == strings.TrimPrefix(version, "v") {
			return folder, nil
		}
	}
	return "", fmt.Errorf("KUBE=%s: no recipe builds that version; write one of %s, or add a recipe below %s", version, strings.Join(versions, ", "), kubernetesRecipe)
}

// recipe is how an asset is made, of the version of Kubernetes that was asked for.
func (s Store) recipe(name string) (recipe, error) {
	r, ok := recipes[name]
	if !ok {
		return recipe{}, fmt.Errorf("no recipe makes %q", name)
	}
	if s.Kubernetes != "" && r.folder == kubernetesRecipe && r.module == kubernetesModule {
		r.folder = s.Kubernetes
	}
	return r, nil
}

// findRoot walks up from the working folder to the go.mod of this module.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modfile.ModulePath(data) == "forewarm.dev" {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of module forewarm.dev in %s or above; run inside the checkout, which holds the build recipes", start)
		}
	}
}

// MissingError says which assets are not there, and where they were looked for.
type MissingError struct {
	// Missing holds, per asset, the places that were looked at.
	Missing []string
}

// Error names each missing asset, where it looked, and the command that builds it.
func (e *MissingError) Error() string {
	return "missing " + strings.Join(e.Missing, "; ") + "; run: make tools"
}

// IsMissing tells whether err says that assets are not built yet.
func IsMissing(err error) bool {
	var missing *MissingError
	return errors.As(err, &missing)
}

// Find returns the path of each named asset, or a MissingError that lists all that are not there.
func (s Store) Find(names ...string) (map[string]string, error) {
	found := make(map[string]string, len(names))
	var missing []string
	for _, name := range names {
		places, err := s.places(name)
		if err != nil {
			return nil, err
		}
		for _, place := range places {
			if _, err := os.Stat(place); err == nil {
				found[name] = place
				break
			}
		}
		if found[name] == "" {
			missing = append(missing, fmt.Sprintf("%s (looked for %s)", name, strings.Join(places, " and ")))
		}
	}
	if len(missing) > 0 {
		return nil, &MissingError{Missing: missing}
	}
	return found, nil
}

// Find is where one program, or folder, of the checkout around the working directory is.
func Find(name string) (string, error) {
	store, err := Open()
	if err != nil {
		return "", err
	}
	found, err := store.Find(name)
	return found[name], err
}

// places lists where an asset may be, in the order of preference; the last one is in the cache.
func (s Store) places(name string) ([]string, error) {
	r, err := s.recipe(name)
	if err != nil {
		return nil, err
	}
	version, err := s.version(r)
	if err != nil {
		return nil, err
	}
	var places []string
	if s.Prebuilt != "" && r.program != "" && r.folder != toolsRecipe && name == filepath.Base(name) {
		places = append(places, filepath.Join(s.Prebuilt, name))
	}
	return append(places, filepath.Join(s.Cache, "bin", r.key(version), filepath.Base(name))), nil
}

// key names the folder in the cache: what it is, its version, and what built it.
func (r recipe) key(version string) string {
	path, _, _ := module.SplitPathVersion(r.module)
	path = strings.TrimSuffix(path, "/server")
	return strings.Join([]string{filepath.Base(path), version, runtime.Version(), runtime.GOARCH}, "-")
}

// version is the version that the recipe's go.mod pins.
func (s Store) version(r recipe) (string, error) {
	path := filepath.Join(s.Root, r.folder, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the build recipe: %w", err)
	}
	file, err := modfile.ParseLax(path, data, nil)
	if err != nil {
		return "", fmt.Errorf("read the build recipe: %w", err)
	}
	for _, require := range file.Require {
		if require.Mod.Path == r.module {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s requires no %s; add it with `go get -tool` in that folder", path, r.module)
}
