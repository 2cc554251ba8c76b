package browser

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

func quantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }

// TestConsole is one visit: each part goes on from the one before.
func TestConsole(t *testing.T) {
	e := newEnv(t)
	ctx := open(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *env, context.Context)
	}{
		{"a wrong token lets nobody in", wrongToken},
		{"a token of the cluster does", signIn},
		{"a pool has its charts", poolCharts},
		{"a page renews itself", renews},
		{"a pod that waits has its story", podStory},
		{"a decision has its page", oneDecision},
		{"every page can be read by day and by night", contrasts},
		{"and on a phone", phone},
		{"and heard", heard},
		{"a plan is approved by keyboard", approves},
		{"and another rejected", rejects},
		{"what stands near its ceiling is shown", ceilings},
		{"who signs out is out", signsOut},
		{"its log holds no token", keepsTokens},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, e, ctx) }) {
			return
		}
	}
}

// run does something in the browser.
func run(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the page says something.
func shows(t *testing.T, ctx context.Context, texts ...string) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		body, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.textContent"))
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(body, text) {
				return fmt.Errorf("the page does not say %q:\n%s", text, body)
			}
		}
		return nil
	})
}

// value is what an expression is in the page.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// typed signs in by keyboard alone: the field has the focus.
func typed(t *testing.T, ctx context.Context, e *env, token string) {
	t.Helper()
	run(t, ctx, chromedp.Navigate(e.url+"/"), chromedp.WaitVisible(chromedp.CSS("#token")), chromedp.Focus(chromedp.CSS("#token")), chromedp.KeyEvent(token), chromedp.KeyEvent(kb.Enter))
}

func wrongToken(t *testing.T, e *env, ctx context.Context) {
	typed(t, ctx, e, "wrong")
	shows(t, ctx, "the cluster does not accept this token")
}

func signIn(t *testing.T, e *env, ctx context.Context) {
	typed(t, ctx, e, e.token)
	shows(t, ctx, "Signed in as system:serviceaccount:default:alice", pool, "WaitingForApproval")
	if cookies := value[string](t, ctx, "document.cookie"); cookies != "" {
		t.Errorf("scripts see cookies: %s", cookies)
	}
}

func poolCharts(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Navigate(e.url+"/pools/"+pool), chromedp.WaitVisible(chromedp.CSS("#charts-single svg")))
	shows(t, ctx, "Demand and its forecast", "Placeholders wanted over time", "80 % band", "placeholders wanted", "Live: this page renews itself.")
	for _, id := range []string{"fan-single", "steps-single"} {
		if title := value[string](t, ctx, fmt.Sprintf("document.getElementById('%s-title').textContent", id)); !strings.Contains(title, pool) {
			t.Errorf("the chart %s is called %q", id, title)
		}
		rows := value[int](t, ctx, fmt.Sprintf("document.querySelectorAll('#%s tbody tr').length", strings.Replace(id, "-", "-table-", 1)))
		if rows < 10 {
			t.Errorf("the table of %s has %d rows", id, rows)
		}
	}
	size := value[[]float64](t, ctx, "(() => { const r = document.querySelector('#charts-single svg').getBoundingClientRect(); return [r.width, r.height]; })()")
	if size[0] < 300 || size[1] < 150 {
		t.Errorf("the chart is %v pixels large", size)
	}
}

// renews holds that a change is shown without the page being loaded again.
func renews(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Navigate(e.url+"/pools"))
	shows(t, ctx, "Live: this page renews itself.")
	value[bool](t, ctx, "window.stays = true")
	e.status(t, 6)
	cluster.Eventually(t, patience, func() error {
		cells := value[string](t, ctx, "[...document.querySelectorAll('#pools tbody td')].map((c) => c.textContent).join(' ')")
		if cells != "21 24 29 8 6 2 3 16" {
			return fmt.Errorf("the page shows %s", cells)
		}
		return nil
	})
	if !value[bool](t, ctx, "window.stays === true") {
		t.Error("the page was loaded again")
	}
}

// podStory goes from the pool by way of who waits to what is said of it.
func podStory(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Navigate(e.url+"/pools/"+pool))
	shows(t, ctx, "placeholder "+pool+"-single-x gave way", "waits for a node of WarmPool "+pool)
	run(t, ctx, chromedp.Click(chromedp.CSS("#happened a[href='/pods/default/"+waiting+"']")), chromedp.WaitVisible(chromedp.CSS("main h1")))
	shows(t, ctx, "default/"+waiting, "Insufficient nvidia.com/gpu", "gpu-1", "waits for a node of WarmPool "+pool)
	run(t, ctx, chromedp.Navigate(e.url+"/pods"))
	shows(t, ctx, waiting, pool)
}

func oneDecision(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Navigate(e.url+"/decisions"))
	run(t, ctx, chromedp.Click(chromedp.CSS("#decisions a[href='/decisions/"+e.decision+"']")), chromedp.WaitVisible(chromedp.CSS("main h1")))
	shows(t, ctx, "ForecastDemand", "forewarmctl replay "+e.decision)
}

// pages are those that are looked at as a whole.
func (e *env) pages() []string {
	return []string{
		"/pools", "/pools/" + pool, "/plans", "/ceilings", "/explain", "/explain?object=pods%2F" + waiting + "&namespace=default",
		"/decisions", "/decisions/" + e.decision, "/pods", "/pods/default/" + waiting,
	}
}

// pairs are the colours of every text that is seen, and what is behind it, with the element's name and the
// size of the text in pixels. Texts of charts have their colour by fill.
const pairs = `(() => {
  const out = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || element.closest('.hidden, .skip, script, title, desc, details:not([open]) > :not(summary)')) continue;
    const style = getComputedStyle(element);
    let behind = 'rgb(255, 255, 255)';
    for (let e = element; e; e = e.parentElement) {
      const background = getComputedStyle(e).backgroundColor;
      if (background !== 'rgba(0, 0, 0, 0)') { behind = background; break; }
    }
    out.push({name: element.tagName + '.' + (element.getAttribute('class') || '') + ' ' + walk.currentNode.textContent.trim().slice(0, 30), text: element.closest('svg') ? style.fill : style.color, behind});
  }
  return out;
})()`

type pair struct{ Name, Text, Behind string }

// prefer has the system of the browser be light or dark.
func prefer(t *testing.T, ctx context.Context, scheme string) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		t.Fatal(err)
	}
}

func contrasts(t *testing.T, e *env, ctx context.Context) {
	defer prefer(t, ctx, "")
	seen := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		prefer(t, ctx, scheme)
		for _, path := range e.pages() {
			run(t, ctx, chromedp.Navigate(e.url+path), chromedp.WaitReady(chromedp.CSS("main")))
			all := value[[]pair](t, ctx, pairs)
			if len(all) < 10 {
				t.Errorf("%s by %s has %d texts", path, scheme, len(all))
			}
			for _, p := range all {
				if got := contrast(t, p.Text, p.Behind); got < 4.5 {
					t.Errorf("%s by %s: %q has a contrast of %.2f (%s on %s), want 4.5", path, scheme, p.Name, got, p.Text, p.Behind)
				}
			}
		}
		seen[scheme] = value[string](t, ctx, "getComputedStyle(document.documentElement).backgroundColor")
	}
	if seen["light"] == seen["dark"] {
		t.Errorf("the page is %s by day and by night", seen["light"])
	}
}

var number = regexp.MustCompile(`[0-9.]+`)

// contrast is that of WCAG 2.2 between two colours as browsers write them, rgb(1, 2, 3).
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(colour string) float64 {
		parts := number.FindAllString(colour, -1)
		if len(parts) != 3 {
			t.Fatalf("%q is no opaque colour", colour)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v, err := strconv.ParseFloat(parts[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			if v /= 255; v <= 0.04045 {
				sum += weight * v / 12.92
			} else {
				sum += weight * math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return sum
	}
	one, other := light(a), light(b)
	return (math.Max(one, other) + 0.05) / (math.Min(one, other) + 0.05)
}

// phone holds that nothing is wider than a phone is, and that what is pressed is large enough for a thumb.
func phone(t *testing.T, e *env, ctx context.Context) {
	defer run(t, ctx, chromedp.ResetViewport())
	run(t, ctx, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	for _, path := range e.pages() {
		run(t, ctx, chromedp.Navigate(e.url+path), chromedp.WaitReady(chromedp.CSS("main")))
		if wide := value[int](t, ctx, "document.documentElement.scrollWidth"); wide > 360 {
			t.Errorf("%s is %d pixels wide on a phone of 360", path, wide)
		}
		small := value[[]string](t, ctx, "[...document.querySelectorAll('button, input:not([type=hidden]), select, nav a')].filter((e) => e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)")
		if len(small) > 0 {
			t.Errorf("%s has things to press that are lower than 24 pixels: %v", path, small)
		}
	}
}

// heard holds what a screen reader tells: landmarks, one heading of the page, and a name for everything
// that can be used.
func heard(t *testing.T, e *env, ctx context.Context) {
	named := map[string]bool{"link": true, "button": true, "textbox": true, "combobox": true, "table": true, "region": true, "navigation": true, "image": true, "img": true, "DisclosureTriangle": true}
	for _, path := range e.pages() {
		run(t, ctx, chromedp.Navigate(e.url+path), chromedp.WaitReady(chromedp.CSS("main")))
		tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, node := range tree.Nodes {
			role, name := textOf(node.Role), textOf(node.Name)
			if node.Ignored || role == "" {
				continue
			}
			count[role]++
			if named[role] && strings.TrimSpace(name) == "" {
				t.Errorf("%s: a %s has no name", path, role)
			}
		}
		for _, role := range []string{"banner", "navigation", "main", "contentinfo"} {
			if count[role] != 1 {
				t.Errorf("%s has %d landmarks %s, want 1", path, count[role], role)
			}
		}
		if headings := value[int](t, ctx, "document.querySelectorAll('h1').length"); headings != 1 {
			t.Errorf("%s has %d headings of the first level", path, headings)
		}
		skipped := value[string](t, ctx, `(() => { let last = 1; for (const h of document.querySelectorAll('h1, h2, h3, h4')) { const n = +h.tagName[1]; if (n > last + 1) return h.textContent; last = n; } return ''; })()`)
		if skipped != "" {
			t.Errorf("%s: a level is skipped before the heading %q", path, skipped)
		}
	}
}

// textOf is a value of the accessibility tree as text.
func textOf(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// tabTo presses Tab until an element has the focus.
func tabTo(t *testing.T, ctx context.Context, id string) {
	t.Helper()
	for range 60 {
		run(t, ctx, chromedp.KeyEvent(kb.Tab))
		if value[string](t, ctx, "document.activeElement.id") == id {
			return
		}
	}
	t.Fatalf("no number of tabs leads to #%s", id)
}

func approves(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Navigate(e.url+"/plans"))
	shows(t, ctx, "up to 3 nodes", "9 per hour")
	tabTo(t, ctx, "approve-"+plan)
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	shows(t, ctx, "You have approved "+plan, "approved by system:serviceaccount:default:alice", "No plan waits for an approval.")
	stored := &v1alpha1.CapacityPlan{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: plan}, stored); err != nil {
		t.Fatal(err)
	}
	if a := stored.Spec.Approval; a == nil || a.By != "system:serviceaccount:default:alice" {
		t.Errorf("stored: %+v", stored.Spec)
	}
}

// rejects waits for the plan to be shown by itself, and is told of it.
func rejects(t *testing.T, e *env, ctx context.Context) {
	other := plan + "-2"
	shows(t, ctx, "Live: this page renews itself.")
	if err := e.reserver.Create(t.Context(), capacityPlan(other, 5)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, "up to 5 nodes")
	if news := value[string](t, ctx, "document.getElementById('news').textContent"); news != "One plan waits for an approval." {
		t.Errorf("a screen reader is told %q", news)
	}
	tabTo(t, ctx, "reject-"+other)
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	shows(t, ctx, "You have rejected "+other, "rejected by system:serviceaccount:default:alice")
}

// ceilings asks by forewarmctl's code, on real objects.
func ceilings(t *testing.T, e *env, ctx context.Context) {
	e.workload(t, "near", 9)
	e.workload(t, "above", 12)
	e.workload(t, "far", 2)
	run(t, ctx, chromedp.Navigate(e.url+"/ceilings?namespace=default"))
	shows(t, ctx, "Above their ceiling (1)", "Near their ceiling (1)", "Deployment default/above", "Deployment default/near")
	if strings.Contains(value[string](t, ctx, "document.body.textContent"), "default/far") {
		t.Error("a workload far below its ceiling is shown")
	}
	run(t, ctx, chromedp.Navigate(e.url+"/explain?object=deployment/near&namespace=default&replicas=11"))
	shows(t, ctx, "Its ceiling is 10", "forewarm.dev/max-replicas=10", "AboveCeiling")
}

func signsOut(t *testing.T, e *env, ctx context.Context) {
	run(t, ctx, chromedp.Click(chromedp.CSS("form.who button")), chromedp.WaitVisible(chromedp.CSS("#token")), chromedp.Navigate(e.url+"/pools"), chromedp.WaitVisible(chromedp.CSS("#token")))
	shows(t, ctx, "Sign in")
}

// keepsTokens: the console has logged as much as it can, and no token of who has signed in, looked and
// written with it, whole or in part.
func keepsTokens(t *testing.T, e *env, _ context.Context) {
	log := e.LogOf("console")
	if !strings.Contains(log, `"level":"DEBUG`) {
		t.Error("the console says no more than usual")
	}
	parts := strings.Split(e.token, ".")
	if secret := parts[len(parts)-1]; len(parts) != 3 || strings.Contains(log, secret) {
		t.Errorf("the console's log holds the signature of a token of %d parts", len(parts))
	}
}
