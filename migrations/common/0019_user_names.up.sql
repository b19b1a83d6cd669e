-- User names ignore case by the rules of ASCII in databases of every locale. In some, i is not the lower case of I.

DROP INDEX users_by_name;
CREATE UNIQUE INDEX users_by_name ON users (lower(name COLLATE "C"));
