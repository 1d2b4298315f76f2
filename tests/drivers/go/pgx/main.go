// pgx with its pool.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"drivers/work"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	ctx    = context.Background()
	undone = errors.New("undone")
)

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	config.MaxConns = int32(work.Clients)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	work.Run("pgx", "github.com/jackc/pgx/v5", func(number int, counts work.Counts) error {
		for turn := range work.Rounds {
			if err := round(pool, number, turn, counts); err != nil {
				return err
			}
		}
		return kept(pool, number, counts)
	})
}

func round(pool *pgxpool.Pool, number, turn int, counts work.Counts) error {
	var n int
	var text string
	if err := pool.QueryRow(ctx, "SELECT $1::int + 1, $2::text", turn, "é").Scan(&n, &text); err != nil {
		return err
	}
	counts["parameters"] += n + len(text)
	if err := failing(pool.QueryRow(ctx, work.Fail, 0), counts); err != nil {
		return err
	}
	// Another text for each client.
	if err := pool.QueryRow(ctx, fmt.Sprintf("SELECT %d + $1::int", number), turn).Scan(&n); err != nil {
		return err
	}
	counts["own text"] += n
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, work.Insert, number, "commit", turn)
		return err
	})
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, work.Insert, number, "failed", turn); err != nil {
			return err
		}
		if err := failing(tx.QueryRow(ctx, work.Fail, 0), counts); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		return err
	}
	batch := &pgx.Batch{}
	for n := range work.Batch {
		batch.Queue(work.Insert, number, "batch", n)
	}
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if err := big(pool, counts); err != nil {
		return err
	}
	copied, err := pool.CopyFrom(ctx, pgx.Identifier{"work"}, []string{"client", "kind", "value"},
		pgx.CopyFromSlice(work.Copied, func(n int) ([]any, error) { return []any{number, "copy", n}, nil }))
	counts["copied"] += int(copied)
	return err
}

func failing(row pgx.Row, counts work.Counts) error {
	var n int
	err := row.Scan(&n)
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "22012" {
		return fmt.Errorf("no division by zero: %w", err)
	}
	counts["error "+told.Code]++
	return nil
}

func big(pool *pgxpool.Pool, counts work.Counts) error {
	rows, err := pool.Query(ctx, work.BigResult, work.Big)
	if err != nil {
		return err
	}
	var n int
	var text string
	_, err = pgx.ForEachRow(rows, []any{&n, &text}, func() error {
		counts["big"] += n + len(text)
		return nil
	})
	return err
}

func kept(pool *pgxpool.Pool, number int, counts work.Counts) error {
	rows, err := pool.Query(ctx, work.Kept, number)
	if err != nil {
		return err
	}
	var kind string
	var count, sum int
	_, err = pgx.ForEachRow(rows, []any{&kind, &count, &sum}, func() error {
		counts[kind+" rows"], counts[kind+" sum"] = count, sum
		return nil
	})
	return err
}
