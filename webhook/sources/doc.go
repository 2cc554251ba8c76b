// Package sources has what a review needs to know beside the object in it: ceilings of Namespaces and
// parents, owners, pools and rights, from caches, and where a cache is behind or has none, from the
// API server.
package sources
