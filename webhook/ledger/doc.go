// Package ledger keeps totals under concurrency: [Book] writes what admission lets in to one
// Ledger object per Namespace, node pool or cluster, by compare and swap, and [Keeper] has the
// ledgers follow what there is. Every decision is that of package total.
//
//	review       Book.Claim    read the ledger, decide, write it; a conflict decides anew
//	leader       Keeper        informers → total.Ledger.Settle → the ledger
package ledger
