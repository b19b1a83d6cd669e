-- Views for the role of Grafana, in a schema of their own. The role has no access to the tables.

CREATE SCHEMA history;
COMMENT ON SCHEMA history IS 'what a reader may read: every machine''s history, and nothing about who may do what';

CREATE VIEW history.machine_1m AS SELECT * FROM machine_1m;
CREATE VIEW history.machine_1h AS SELECT * FROM machine_1h;
CREATE VIEW history.machine_3h AS SELECT * FROM machine_3h;
CREATE VIEW history.machine_1d AS SELECT * FROM machine_1d;
CREATE VIEW history.process_1h AS SELECT * FROM process_1h;
CREATE VIEW history.process_3h AS SELECT * FROM process_3h;
CREATE VIEW history.process_1d AS SELECT * FROM process_1d;
