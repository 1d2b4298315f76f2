// lib/pq with the pool of database/sql.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"

	"drivers/work"

	"github.com/lib/pq"
)

func main() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	// As many as clients stay in the pool.
	db.SetMaxIdleConns(work.Clients)
	prepared, err := db.Prepare("SELECT $1::int + 2")
	if err != nil {
		panic(err)
	}
	work.Run("lib/pq", "github.com/lib/pq", func(number int, counts work.Counts) error {
		for turn := range work.Rounds {
			var n int
			if err := prepared.QueryRow(turn).Scan(&n); err != nil {
				return err
			}
			counts["prepared"] += n
			if err := round(db, number, turn, counts); err != nil {
				return err
			}
		}
		return kept(db, number, counts)
	})
}

func round(db *sql.DB, number, turn int, counts work.Counts) error {
	var n int
	var text string
	if err := db.QueryRow("SELECT $1::int + 1, $2::text", turn, "é").Scan(&n, &text); err != nil {
		return err
	}
	counts["parameters"] += n + len(text)
	if err := failing(db.QueryRow(work.Fail, 0), counts); err != nil {
		return err
	}
	if err := inTransaction(db, func(tx *sql.Tx) error {
		_, err := tx.Exec(work.Insert, number, "commit", turn)
		return err
	}); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(work.Insert, number, "failed", turn); err != nil {
		return err
	}
	if err := failing(tx.QueryRow(work.Fail, 0), counts); err != nil {
		return err
	}
	if err := tx.Rollback(); err != nil {
		return err
	}
	if err := inTransaction(db, func(tx *sql.Tx) error { return copyIn(tx, number) }); err != nil {
		return err
	}
	return inTransaction(db, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(work.Insert)
		if err != nil {
			return err
		}
		defer insert.Close()
		for n := range work.Batch {
			if _, err := insert.Exec(number, "batch", n); err != nil {
				return err
			}
		}
		return big(tx, counts)
	})
}

func inTransaction(db *sql.DB, use func(tx *sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if err := use(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func copyIn(tx *sql.Tx, number int) error {
	into, err := tx.Prepare(pq.CopyIn("work", "client", "kind", "value"))
	if err != nil {
		return err
	}
	for n := range work.Copied {
		if _, err := into.Exec(number, "copy", n); err != nil {
			return err
		}
	}
	if _, err := into.Exec(); err != nil {
		return err
	}
	return into.Close()
}

func failing(row *sql.Row, counts work.Counts) error {
	var n int
	err := row.Scan(&n)
	var told *pq.Error
	if !errors.As(err, &told) || told.Code != "22012" {
		return fmt.Errorf("no division by zero: %w", err)
	}
	counts["error "+string(told.Code)]++
	return nil
}

func big(tx *sql.Tx, counts work.Counts) error {
	rows, err := tx.Query(work.BigResult, work.Big)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		var text string
		if err := rows.Scan(&n, &text); err != nil {
			return err
		}
		counts["big"] += n + len(text)
	}
	return rows.Err()
}

func kept(db *sql.DB, number int, counts work.Counts) error {
	rows, err := db.Query(work.Kept, number)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var count, sum int
		if err := rows.Scan(&kind, &count, &sum); err != nil {
			return err
		}
		counts[kind+" rows"], counts[kind+" sum"] = count, sum
	}
	return rows.Err()
}
