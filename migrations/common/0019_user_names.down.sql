DROP INDEX users_by_name;
CREATE UNIQUE INDEX users_by_name ON users (lower(name));
