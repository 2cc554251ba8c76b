package assets

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// open is a store over this checkout with an empty cache.
func open(t *testing.T) Store {
	t.Helper()
	t.Setenv("FOREWARM_CACHE", filepath.Join(t.TempDir(), "cache"))
	t.Setenv("KUBEBUILDER_ASSETS", "")
	store, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestEveryRecipeHasAVersion(t *testing.T) {
	store := open(t)
	for _, name := range slices.Concat(ControlPlane, Linters, Schedulers) {
		places, err := store.places(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if place := places[len(places)-1]; !strings.HasPrefix(place, store.Cache) || !strings.Contains(place, "-v") {
			t.Errorf("%s lies at %s, want a place in the cache with a version", name, place)
		}
	}
}

func TestFindPrefersPrebuilt(t *testing.T) {
	store := open(t)
	store.Prebuilt = t.TempDir()
	want := filepath.Join(store.Prebuilt, Etcd)
	if err := os.WriteFile(want, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	found, err := store.Find(Etcd)
	if err != nil || found[Etcd] != want {
		t.Errorf("Find = %v, %v; want %s", found, err, want)
	}
}

func TestFindSaysAllThatIsMissing(t *testing.T) {
	store := open(t)
	store.Prebuilt = "/prebuilt"
	_, err := store.Find(APIServer, KarpenterCRDs)
	if !IsMissing(err) {
		t.Fatalf("Find = %v, want that assets are missing", err)
	}
	for _, want := range []string{"kube-apiserver (looked for /prebuilt/kube-apiserver and " + store.Cache, "karpenter-crds (looked for " + store.Cache, "run: make tools"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

// TestInstall: several clones install at once, one builds, and nothing is left beside it.
func TestInstall(t *testing.T) {
	store := open(t)
	var group errgroup.Group
	outputs := make([]bytes.Buffer, 3)
	for i := range outputs {
		group.Go(func() error { return store.Install(t.Context(), &outputs[i], KarpenterCRDs) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	builds := 0
	for i := range outputs {
		builds += strings.Count(outputs[i].String(), "done in")
	}
	if builds != 1 {
		t.Errorf("built %d times, want once", builds)
	}
	found, err := store.Find(KarpenterCRDs)
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range []string{"karpenter.sh_nodepools.yaml", "karpenter.kwok.sh_kwoknodeclasses.yaml"} {
		if _, err := os.Stat(filepath.Join(found[KarpenterCRDs], crd)); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(store.Cache, "bin", "*", ".building-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFailedInstallLeavesNothing(t *testing.T) {
	store := open(t)
	t.Setenv("PATH", t.TempDir()) // no go command there
	err := store.Install(t.Context(), io.Discard, Etcd)
	if err == nil || !strings.Contains(err.Error(), "build etcd: ") {
		t.Errorf("Install = %v, want what failed", err)
	}
	if left, _ := filepath.Glob(filepath.Join(store.Cache, "bin", "*", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOpenOutsideTheCheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "run inside the checkout") {
		t.Errorf("Open = %v, want to be told where to run", err)
	}
}

// TestOlderKubernetes: another version is of the API server, the scheduler and the controller manager,
// and of nothing beside them.
func TestOlderKubernetes(t *testing.T) {
	places := func(version string) map[string]string {
		t.Helper()
		t.Setenv("FOREWARM_KUBE", version)
		store, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, name := range ControlPlane {
			found, err := store.places(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = found[len(found)-1]
		}
		return all
	}
	t.Setenv("KUBEBUILDER_ASSETS", "")
	newest, older := places(""), places("1.31.14")
	for _, name := range ControlPlane {
		ours := slices.Contains([]string{APIServer, Scheduler, ControllerManager}, name)
		if ours != strings.Contains(older[name], "kubernetes-v1.31.14-") || ours == (older[name] == newest[name]) {
			t.Errorf("%s lies at %s, and of the newest version at %s", name, older[name], newest[name])
		}
	}
	t.Setenv("FOREWARM_KUBE", "1.2.3")
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "KUBE=1.2.3: no recipe builds that version; write one of 1.37.2, 1.31.14") {
		t.Errorf("Open = %v, want to be told which versions there are", err)
	}
}
