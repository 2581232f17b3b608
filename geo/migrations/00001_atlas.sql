-- +goose Up
-- A feature is the whole GeoJSON Feature as it is handed out again; what is
-- searched lives in memory and is made from it.
CREATE TABLE geo_zones (
    id      TEXT PRIMARY KEY,
    feature TEXT NOT NULL
);
CREATE TABLE geo_rivers (
    id      TEXT PRIMARY KEY,
    feature TEXT NOT NULL
);
-- What was done once for ever, such as seeding the built-in rivers.
CREATE TABLE geo_done (
    what TEXT PRIMARY KEY
);

-- +goose Down
DROP TABLE geo_done;
DROP TABLE geo_rivers;
DROP TABLE geo_zones;
