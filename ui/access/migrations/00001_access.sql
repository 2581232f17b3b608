-- Times are Unix milliseconds, UTC. No secret is kept: passwords as argon2id
-- (PHC strings), session cookies and token secrets as SHA-256 in hex.

-- +goose Up
CREATE TABLE access_version (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    n  BIGINT NOT NULL -- rises with every change, so that another process's change is seen
);
INSERT INTO access_version (id, n) VALUES (1, 1);

CREATE TABLE access_accounts (
    username TEXT PRIMARY KEY,
    role     TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    cameras  INTEGER NOT NULL,
    password TEXT NOT NULL,
    created  BIGINT NOT NULL
);

CREATE TABLE access_sessions (
    id       TEXT PRIMARY KEY, -- SHA-256 of the cookie
    username TEXT NOT NULL REFERENCES access_accounts (username) ON DELETE CASCADE,
    created  BIGINT NOT NULL,
    seen     BIGINT NOT NULL
);
CREATE INDEX access_sessions_username ON access_sessions (username);

CREATE TABLE access_tokens (
    id       TEXT PRIMARY KEY,
    username TEXT NOT NULL REFERENCES access_accounts (username) ON DELETE CASCADE,
    parent   TEXT REFERENCES access_tokens (id) ON DELETE CASCADE, -- the token that made this one
    name     TEXT NOT NULL,
    role     TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    cameras  INTEGER NOT NULL,
    hash     TEXT NOT NULL, -- SHA-256 of the secret
    created  BIGINT NOT NULL,
    expires  BIGINT
);
CREATE INDEX access_tokens_username ON access_tokens (username);
CREATE INDEX access_tokens_parent ON access_tokens (parent);
