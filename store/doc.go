// Package store stores snapshots in PostgreSQL. A Store combines the writer, the queries, and the backend
// of the storage profile, and adds what concerns the whole database: migrations, settings, and maintenance of
// partitions, rollups and retention.
//
// Imports run one way: store imports writer, query and backend. writer and query import backend and
// schema. SQL is only in these packages and in migrations.
package store
