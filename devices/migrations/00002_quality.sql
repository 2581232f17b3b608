-- +goose Up
ALTER TABLE devices ADD COLUMN quality TEXT NOT NULL DEFAULT 'null'; -- JSON object: limits by metric
ALTER TABLE devices ADD COLUMN derive TEXT NOT NULL DEFAULT 'null'; -- JSON object: source by derived metric

-- +goose Down
ALTER TABLE devices DROP COLUMN derive;
ALTER TABLE devices DROP COLUMN quality;
