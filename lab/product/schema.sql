-- The sample product's tables. Everything a verification looks at is here: foreign keys, other
-- constraints, sequences, and tables that customers write to all the time.

CREATE SCHEMA IF NOT EXISTS rlg;

CREATE TABLE rlg.accounts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username      text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rlg.payments (
    id         bigserial PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES rlg.accounts (id),
    amount     numeric(12, 2) NOT NULL CHECK (amount > 0),
    reference  text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, reference)
);

CREATE TABLE rlg.content (
    id           bigserial PRIMARY KEY,
    title        text NOT NULL,
    body         text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);

-- Written by customers. The customer chooses the id, so that a write whose outcome it never
-- learned can be repeated without harm.
CREATE TABLE rlg.entries (
    number     bigserial PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    text       text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rlg.events (
    id      bigserial PRIMARY KEY,
    body    jsonb NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rlg.notifications (
    id        bigserial PRIMARY KEY,
    body      jsonb NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now()
);
