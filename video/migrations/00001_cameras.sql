-- +goose Up
CREATE TABLE cameras (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    url      TEXT NOT NULL, -- as shown: without credentials
    sealed   TEXT NOT NULL, -- the whole URL, AES-256-GCM, hex; secret.go says how
    lon      DOUBLE PRECISION NOT NULL,
    lat      DOUBLE PRECISION NOT NULL,
    bearing  DOUBLE PRECISION,
    view_deg DOUBLE PRECISION,
    kind     TEXT NOT NULL,
    in_group TEXT NOT NULL,
    pull     TEXT NOT NULL,
    created  BIGINT NOT NULL -- Unix ms, UTC
);

-- +goose Down
DROP TABLE cameras;
