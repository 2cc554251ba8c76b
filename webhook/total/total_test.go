package total

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/webhook"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func totalOf(annotation, value string) webhook.Setting {
	return webhook.Setting{On: webhook.Object{Kind: "Namespace", Name: "team"}, Annotation: annotation, Set: true, Value: value}
}

func TestTotal(t *testing.T) {
	web := KeyOf("apps", "deployments", "web")
	standing := func(n int64) webhook.Amounts { return webhook.Amounts{Replicas: n} }
	many := map[Key]Entry{}
	for i := range MaxComing {
		many[Key("deployments.apps/"+strconv.Itoa(i))] = Entry{Coming: Updating, LetIn: noon}
	}
	cases := map[string]struct {
		standing   webhook.Amounts
		entries    map[Key]Entry
		incomplete bool
		total      webhook.Setting
		claim      Claim
		want       webhook.Reason
		wantEntry  *Entry
		wantSays   []string
	}{
		"within": {
			standing: standing(6), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 4}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 4}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"above": {
			standing: standing(6), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 5}}, want: ReasonAboveTotal,
			wantSays: []string{"Deployment team/web: 5 replicas asked for, 6 used by others, at most 10 in all", `forewarm.dev/max-total-replicas="10" on Namespace team`, "ask for at most 4", "who may edit Namespace team"},
		},
		"nothing left": {
			standing: standing(12), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 1}}, want: ReasonAboveTotal, wantSays: []string{"have others give some back"},
		},
		"a decrease above the total": {
			standing: standing(20), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "7", Old: webhook.Amounts{Replicas: 20}, New: webhook.Amounts{Replicas: 15}}, want: webhook.ReasonNotGrowing,
		},
		"growing back above the total": {
			standing: standing(20), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "8", Old: webhook.Amounts{Replicas: 15}, New: webhook.Amounts{Replicas: 20}}, want: ReasonAboveTotal,
		},
		"asked again under another review UID": {
			entries: map[Key]Entry{web: {Amounts: webhook.Amounts{Replicas: 10}, Coming: Updating, Version: "7", LetIn: noon.Add(-time.Second)}}, total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "7", Old: webhook.Amounts{Replicas: 3}, New: webhook.Amounts{Replicas: 10}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 10}, Coming: Updating, Version: "7", LetIn: noon},
		},
		"to the total": {
			standing: standing(7), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "7", Old: webhook.Amounts{Replicas: 3}, New: webhook.Amounts{Replicas: 6}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 6}, Standing: standing(3), Coming: Updating, Version: "7", LetIn: noon},
		},
		"above it with what others are letting in": {
			standing: standing(7), total: totalOf(webhook.MaxTotalReplicas, "10"),
			entries: map[Key]Entry{"deployments.apps/db": {Amounts: webhook.Amounts{Replicas: 5}, Standing: standing(4), Coming: Updating, Version: "6", LetIn: noon}},
			claim:   Claim{Version: "7", Old: webhook.Amounts{Replicas: 3}, New: webhook.Amounts{Replicas: 6}}, want: ReasonAboveTotal, wantSays: []string{"6 replicas asked for, 5 used by others"},
		},
		"grown, and growing again": {
			standing: standing(7), total: totalOf(webhook.MaxTotalReplicas, "10"),
			entries: map[Key]Entry{web: {Amounts: webhook.Amounts{Replicas: 5}, Standing: standing(3), Coming: Updating, Version: "7", LetIn: noon}},
			claim:   Claim{Version: "8", Old: webhook.Amounts{Replicas: 5}, New: webhook.Amounts{Replicas: 6}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 6}, Standing: standing(3), Coming: Updating, Version: "8", LetIn: noon},
		},
		"growing after one that saw more and cannot be stored": {
			standing: standing(4), total: totalOf(webhook.MaxTotalReplicas, "10"),
			entries: map[Key]Entry{web: {Amounts: webhook.Amounts{Replicas: 8}, Standing: standing(5), Coming: Updating, Version: "7", LetIn: noon}},
			claim:   Claim{Version: "8", Old: webhook.Amounts{Replicas: 1}, New: webhook.Amounts{Replicas: 8}}, want: ReasonAboveTotal, wantSays: []string{"3 used by others"},
		},
		"a create of what may still stand": {
			standing: standing(9), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 2}}, want: ReasonAboveTotal,
		},
		"more than can be kept in mind": {
			entries: many, total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 1}}, want: ReasonTooManyComing, wantSays: []string{"Deployment team/web: 2000 other writes that count for the totals of Namespace team", "try again later"},
		},
		"more than can be kept in mind, and warned": {
			entries: many, total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Mode: webhook.Warn, New: webhook.Amounts{Replicas: 1}}, want: ReasonTooManyComing,
		},
		"a stale review": {
			entries: map[Key]Entry{web: {Amounts: webhook.Amounts{Replicas: 5}, Coming: Updating, Version: "10", LetIn: noon}}, total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "9", Old: webhook.Amounts{Replicas: 1}, New: webhook.Amounts{Replicas: 2}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 5}, Coming: Updating, Version: "10", LetIn: noon},
		},
		"an update of what is still being created": {
			entries: map[Key]Entry{web: {Amounts: webhook.Amounts{Replicas: 5}, Coming: Creation, Version: "90", LetIn: noon}}, total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{Version: "95", Old: webhook.Amounts{Replicas: 5}, New: webhook.Amounts{Replicas: 6}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 6}, Coming: Several, Version: "95", LetIn: noon},
		},
		"while it is being counted": {
			incomplete: true, standing: standing(12), total: totalOf(webhook.MaxTotalReplicas, "10"),
			claim: Claim{New: webhook.Amounts{Replicas: 1}}, want: ReasonWithinTotal, wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 1}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"replicas do not matter to webhook.GPUs": {
			total: totalOf(webhook.MaxGPUs, "8"), claim: Claim{New: webhook.Amounts{Replicas: 100}}, want: webhook.ReasonNotGrowing,
		},
		"GPUs": {
			standing: webhook.Amounts{GPUs: 6}, total: totalOf(webhook.MaxGPUs, "8"),
			claim: Claim{New: webhook.Amounts{Replicas: 2, GPUs: 4}}, want: ReasonAboveTotal, wantSays: []string{"4 GPUs asked for, 6 used by others, at most 8 in all"},
		},
		"malformed": {
			total: totalOf(webhook.MaxTotalReplicas, "lots"), claim: Claim{New: webhook.Amounts{Replicas: 2}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 2}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"warn": {
			total: totalOf(webhook.MaxTotalReplicas, "1"), claim: Claim{Mode: webhook.Warn, New: webhook.Amounts{Replicas: 2}}, want: ReasonAboveTotal,
			wantEntry: &Entry{Amounts: webhook.Amounts{Replicas: 2}, Coming: Creation, Version: "100", LetIn: noon},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.claim.Object, c.claim.Key = webhook.Object{Kind: "Deployment", Namespace: "team", Name: "web"}, web
			c.claim.Totals, c.claim.Now = []webhook.Setting{c.total}, noon
			l := Ledger{Version: "100", Complete: !c.incomplete, Standing: c.standing, Entries: c.entries}
			decision, entry := l.Review(c.claim)
			if decision.Reason != c.want || (decision.Verdict == webhook.Deny) != (c.claim.Mode == "" && (c.want == ReasonTooManyComing || c.want == ReasonAboveTotal)) {
				t.Errorf("decision %+v, want %s", decision, c.want)
			}
			if diff := cmp.Diff(c.wantEntry, entry); diff != "" {
				t.Errorf("entry:\n%s", diff)
			}
			for _, part := range c.wantSays {
				if !strings.Contains(decision.Message, part) {
					t.Errorf("message %q lacks %q", decision.Message, part)
				}
			}
		})
	}
}

func TestSettle(t *testing.T) {
	const x = Key("deployments.apps/x")
	at := func(n int64, version string) Seen {
		return Seen{Amounts: webhook.Amounts{Replicas: n}, Version: version}
	}
	born := func(n int64, version, born string) Seen { return Seen{webhook.Amounts{Replicas: n}, version, born} }
	coming := func(what Coming, n, standing int64, version string) Entry {
		return Entry{Amounts: webhook.Amounts{Replicas: n}, Standing: webhook.Amounts{Replicas: standing}, Coming: what, Version: version, LetIn: noon}
	}
	cases := map[string]struct {
		entry Entry
		seen  Seen
		over  time.Time
		// want is the entry after it, wantStanding what stands.
		want         Entry
		wantStanding int64
	}{
		"follows":                              {Entry{}, at(5, "8"), time.Time{}, Entry{}, 5},
		"gone":                                 {Entry{}, at(0, "8"), time.Time{}, Entry{}, 0},
		"a growth that is coming":              {coming(Updating, 5, 2, "7"), at(3, "7"), time.Time{}, coming(Updating, 5, 3, "7"), 3},
		"a growth of what is shown as before":  {coming(Updating, 5, 3, "7"), at(1, "6"), time.Time{}, coming(Updating, 5, 1, "7"), 1},
		"a growth that is stored":              {coming(Updating, 5, 3, "7"), at(5, "8"), time.Time{}, Entry{}, 5},
		"a growth that was overtaken":          {coming(Updating, 5, 3, "7"), at(2, "8"), time.Time{}, Entry{}, 2},
		"a growth of what was deleted":         {coming(Updating, 5, 3, "7"), at(0, "8"), time.Time{}, Entry{}, 0},
		"a growth that did not come":           {coming(Updating, 5, 3, "7"), at(3, "7"), noon, Entry{}, 3},
		"a growth that was let in since":       {coming(Updating, 5, 3, "7"), at(3, "7"), noon.Add(-time.Second), coming(Updating, 5, 3, "7"), 3},
		"a growth of what nobody looks at":     {coming(Updating, 5, 3, "7"), Seen{}, time.Time{}, coming(Updating, 5, 0, "7"), 0},
		"a create that is coming":              {coming(Creation, 5, 0, "7"), at(0, "9"), time.Time{}, coming(Creation, 5, 0, "7"), 0},
		"a create that did not come":           {coming(Creation, 5, 0, "7"), Seen{}, noon, Entry{}, 0},
		"a create that is stored":              {coming(Creation, 5, 0, "7"), born(5, "9", "8"), time.Time{}, Entry{}, 5},
		"a create after what is shown still":   {coming(Creation, 5, 0, "7"), born(2, "9", "6"), time.Time{}, coming(Creation, 5, 2, "7"), 2},
		"a create of which nobody saw the end": {coming(Creation, 5, 0, "7"), at(5, "9"), time.Time{}, coming(Creation, 5, 5, "7"), 5},
		"a create of nothing, by somebody":     {coming(Creation, 5, 0, "7"), born(0, "9", "8"), time.Time{}, coming(Creation, 5, 0, "7"), 0},
		"one of several is stored":             {coming(Several, 5, 0, "7"), born(5, "9", "8"), time.Time{}, coming(Several, 5, 5, "7"), 5},
		"none of several can come":             {coming(Several, 5, 0, "7"), at(4, "9"), noon, Entry{}, 4},
		"versions that cannot be compared":     {coming(Updating, 5, 3, "a"), at(3, "b"), time.Time{}, coming(Updating, 5, 3, "a"), 3},
		"more than was let in":                 {coming(Updating, 5, 3, "7"), at(9, "7"), time.Time{}, coming(Updating, 5, 9, "7"), 9},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sight, over := Sight{Objects: map[Key]Seen{"deployments.apps/y": at(2, "3")}}, map[Key]time.Time{}
			want := Ledger{Complete: true, Standing: webhook.Amounts{Replicas: 2 + c.wantStanding}, UpTo: map[string]string{"deployments.apps": "3"}, Entries: map[Key]Entry{}}
			if c.seen.Version != "" {
				sight.Objects[x] = c.seen
			}
			if c.seen.Amounts != (webhook.Amounts{}) && c.seen.Version != "b" {
				want.UpTo["deployments.apps"] = c.seen.Version
			}
			if !c.over.IsZero() {
				over[x] = c.over
			}
			if c.want != (Entry{}) {
				want.Entries[x] = c.want
			}
			before := Ledger{Complete: true, Entries: map[Key]Entry{}}
			if c.entry != (Entry{}) {
				before.Entries[x] = c.entry
			}
			got := before.Settle(sight, over)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ledger:\n%s", diff)
			}
			if again := got.Settle(sight, over); !again.Equal(got) {
				t.Errorf("settling twice: %+v, want %+v", again, got)
			}
		})
	}
}

// TestBehind: who has seen less than what is counted changes nothing.
func TestBehind(t *testing.T) {
	l := Ledger{Standing: webhook.Amounts{Replicas: 5}, UpTo: map[string]string{"deployments.apps": "9", "gone.example.com": "100"}}
	less := map[Key]Seen{"deployments.apps/x": {Amounts: webhook.Amounts{Replicas: 1}, Version: "8"}}
	for upTo, want := range map[string]int64{"": 5, "8": 5, "9": 1, "10": 1} {
		if got := l.Settle(Sight{less, map[string]string{"deployments.apps": upTo, "jobs.batch": ""}}, nil); got.Standing.Replicas != want {
			t.Errorf("seen up to %q: %d stand, want %d", upTo, got.Standing.Replicas, want)
		}
	}
}
