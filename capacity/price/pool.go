package price

import (
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// Node is a node of a pool.
type Node struct {
	*corev1.Node
	// Room is what it offers beside the pods of its DaemonSets.
	Room quantity.Vector
}

// Set lets idling cost what the nodes of a pool do. A chunk costs the share that it takes of an empty node,
// one of as many as fit, in the mean over the nodes whose price is known. Where no node stands for it, or a
// source has not been read yet, the last price holds, else what the spec says. The answer has a row per
// chunk, nil where the spec counts, and what could not be read.
func (p *Prices) Set(pool *v1alpha1.WarmPool, nodes []Node, chunks []capacity.Chunk) (rows []*v1alpha1.PriceStatus, problem string) {
	failed := p.problem()
	var bills []bill
	for _, node := range nodes {
		perHour, from, err := p.of(node.Node)
		if err != nil && failed == nil {
			failed = err
		}
		if from != "" {
			bills = append(bills, bill{node.Room, perHour, from})
		}
	}
	if failed != nil {
		problem = short(failed.Error())
	}
	for i := range chunks {
		row := priceOf(bills, chunks[i])
		if row == nil && (p.unread() || !fits(nodes, chunks[i])) {
			row = p.last(pool, chunks[i].Name)
		}
		if row != nil {
			chunks[i].IdleCostPerHour = number(row.IdleCostPerHour)
		}
		rows = append(rows, row)
	}
	return rows, problem
}

// short is as much of a text as a condition takes, which may quote what a server says.
func short(text string) string {
	const most = 1024
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// bill is what a node costs, and who says so.
type bill struct {
	room    quantity.Vector
	perHour float64
	from    string
}

// priceOf is the mean of what a chunk costs on the nodes that take any; nil if there is none.
func priceOf(bills []bill, chunk capacity.Chunk) *v1alpha1.PriceStatus {
	sum, n := 0.0, 0
	var sources []string
	for _, b := range bills {
		if fit := chunk.Requests.CountIn(b.room); fit > 0 {
			sum += b.perHour / float64(fit)
			n++
			sources = append(sources, b.from)
		}
	}
	if n == 0 {
		return nil
	}
	slices.Sort(sources)
	return &v1alpha1.PriceStatus{
		IdleCostPerHour: strconv.FormatFloat(math.Round(sum/float64(n)*1e6)/1e6, 'f', -1, 64),
		Source:          strings.Join(slices.Compact(sources), ", "),
	}
}

func fits(nodes []Node, chunk capacity.Chunk) bool {
	return slices.ContainsFunc(nodes, func(n Node) bool { return chunk.Requests.CountIn(n.Room) > 0 })
}

// last is the price that status tells, if those who said so can still be asked.
func (p *Prices) last(pool *v1alpha1.WarmPool, chunk string) *v1alpha1.PriceStatus {
	for _, row := range pool.Status.Chunks {
		if row.Name != chunk || row.Price == nil {
			continue
		}
		for name := range strings.SplitSeq(row.Price.Source, ", ") {
			if !p.has(name) {
				return nil
			}
		}
		return row.Price.DeepCopy()
	}
	return nil
}

// OfChunk is what an hour of idle capacity of a chunk costs, as of the last plan.
func OfChunk(pool *v1alpha1.WarmPool, chunk *v1alpha1.Chunk) float64 {
	return number(pool.IdleCostOf(chunk))
}

// number reads a decimal number that was written by us, or that validation has let pass.
func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}
