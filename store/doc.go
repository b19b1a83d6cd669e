// Package store keeps snapshots in PostgreSQL: the writer that commits groups of
// batches, the queries behind the API, the notifications of what was committed,
// and the upkeep of partitions and retention.
//
// It is the only package, with migrations, that holds SQL. What differs between
// the storage profiles is behind the small profile interface; queries are the
// same for all.
package store
