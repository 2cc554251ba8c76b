package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/live"
	"forewarm.dev/test/demo/play"
)

// patience bounds what takes less than a minute on an idle machine.
const patience = 4 * time.Minute

// TestPlayground starts a playground as people do, and finds there what it says: a live load that takes
// placeholders over, and a console to sign in to. Interrupted, it leaves nothing behind.
func TestPlayground(t *testing.T) {
	p := start(t)
	c := p.client(t)
	p.consoleLetsIn(t, c)
	took := &takeovers{ran: map[types.UID]string{}, bound: map[types.UID]bool{}}
	cluster.Eventually(t, patience, func() error { return took.look(t.Context(), c) })
	p.stop(t)
	if _, err := os.Stat(p.folder()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a playground that has ended: %v, want it gone", err)
	}
}

// consoleLetsIn: the address that was printed is the console's, and the token that it asks for does.
func (p *running) consoleLetsIn(t *testing.T, c client.Client) {
	t.Helper()
	token := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: visitor}}
	if err := c.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	if status, body := cluster.SignIn(t, p.console, token.Status.Token)("/pools"); status != http.StatusOK || !strings.Contains(body, play.PoolName) {
		t.Errorf("%s sees no pool in the console: %d\n%s", visitor, status, body)
	}
}

// takeovers are looked for in what is seen of pods from time to time.
type takeovers struct {
	// ran are the nodes of placeholders that ran, bound the jobs' pods that had a node, when last looked at.
	ran   map[types.UID]string
	bound map[types.UID]bool
}

// look returns nil once a placeholder that ran has gone, and a job's pod has come to its node meanwhile.
func (o *takeovers) look(ctx context.Context, c client.Client) error {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return err
	}
	ran, bound, came := map[types.UID]string{}, map[types.UID]bool{}, map[string]bool{}
	for _, pod := range pods.Items {
		switch {
		case pod.Namespace == v1alpha1.PlaceholderNamespace && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil:
			ran[pod.UID] = pod.Spec.NodeName
		case pod.Namespace == live.Namespace && pod.Spec.NodeName != "":
			bound[pod.UID] = true
			came[pod.Spec.NodeName] = came[pod.Spec.NodeName] || !o.bound[pod.UID]
		}
	}
	for uid, node := range o.ran {
		if _, stays := ran[uid]; !stays && came[node] {
			return nil
		}
	}
	said := fmt.Errorf("%d placeholders run and %d pods of jobs have a node, none of which came to where a placeholder had been", len(ran), len(bound))
	for uid, node := range o.ran {
		if _, stays := ran[uid]; !stays {
			ran[uid] = node // the pod that it went for is on its way
		}
	}
	o.ran, o.bound = ran, bound
	return said
}

// running is a playground that runs.
type running struct {
	*exec.Cmd
	// bin is the folder of programs.
	bin, kubeconfig, console string
	ended                    bool
}

var (
	// exported is the line by which the playground says where its cluster is, served that of its console.
	exported = regexp.MustCompile(`export KUBECONFIG=(\S+)`)
	served   = regexp.MustCompile(`The console is at (\S+)`)
)

// start builds all programs into a folder, and runs a playground there until it says that all is ready.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: a playground is a whole control plane")
	}
	store, err := assets.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &running{bin: t.TempDir()}
	if err := cluster.BuildBinaries(t.Context(), p.bin); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", p.bin+string(os.PathSeparator), "./test/demo/playground")
	build.Dir = store.Root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the playground: %v\n%s", err, out)
	}
	p.Cmd = exec.Command(filepath.Join(p.bin, "playground"), args...)
	p.Dir, p.Stderr = store.Root, os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		if match := exported.FindStringSubmatch(lines.Text()); match != nil {
			p.kubeconfig = match[1]
		}
		if match := served.FindStringSubmatch(lines.Text()); match != nil {
			p.console = match[1]
		}
		if strings.HasPrefix(lines.Text(), "Logs are in ") {
			return p
		}
	}
	t.Fatal("the playground ended before it was ready")
	return nil
}

// stop interrupts it, once, and waits until it has ended.
func (p *running) stop(t *testing.T) {
	t.Helper()
	if p.ended {
		return
	}
	p.ended = true
	_ = p.Process.Signal(syscall.SIGINT)
	if err := p.Wait(); err != nil {
		t.Errorf("the playground ended with %v", err)
	}
}

// folder is where all that the playground keeps is.
func (p *running) folder() string { return filepath.Dir(p.kubeconfig) }

// client is an administrator's.
func (p *running) client(t *testing.T) client.Client {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
