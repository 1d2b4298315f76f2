// go-sql-driver with the pool of database/sql.
package main

import (
	"context"
	"database/sql"
	"errors"

	"drivers/mysqlwork"
	"drivers/work"

	"github.com/go-sql-driver/mysql"
)

const (
	typed = "INSERT INTO typed (client, nothing, words, amount, moment, big) VALUES (?, ?, ?, ?, ?, ?)"
	back  = "SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?"
)

func main() {
	connector, err := mysql.NewConnector(mysqlwork.Config())
	if err != nil {
		panic(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	// As many as clients stay in the pool.
	db.SetMaxIdleConns(work.Clients)
	work.Run("go-sql-driver", "github.com/go-sql-driver/mysql", func(number int, counts work.Counts) error {
		for turn := range work.Rounds {
			if err := round(db, number, turn, counts); err != nil {
				return err
			}
		}
		rows, err := db.Query(mysqlwork.Kept, number)
		if err != nil {
			return err
		}
		return mysqlwork.Keep(rows, counts)
	})
}

func round(db *sql.DB, number, turn int, counts work.Counts) error {
	var n int
	var text string
	if err := db.QueryRow(mysqlwork.Asked, turn, "é").Scan(&n, &text); err != nil {
		return err
	}
	counts["parameters"] += n + len(text)
	// Without parameters it is a text.
	if err := mysqlwork.Failing(db.QueryRow(mysqlwork.Nowhere).Scan(&n), counts); err != nil {
		return err
	}
	steps := []func(*sql.DB, int, int, work.Counts) error{commits, rolls, batch, autocommit, row}
	for _, step := range steps {
		if err := step(db, number, turn, counts); err != nil {
			return err
		}
	}
	rows, err := db.Query(mysqlwork.BigResult)
	if err != nil {
		return err
	}
	return mysqlwork.Sum(rows, counts)
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

func commits(db *sql.DB, number, turn int, counts work.Counts) error {
	return inTransaction(db, func(tx *sql.Tx) error {
		done, err := tx.Exec(mysqlwork.Insert, number, "commit", turn)
		if err != nil {
			return err
		}
		id, err := done.LastInsertId()
		if err != nil {
			return err
		}
		var value int
		err = tx.QueryRow(mysqlwork.ByID, id).Scan(&value)
		counts["by id"] += value
		return err
	})
}

func rolls(db *sql.DB, number, turn int, counts work.Counts) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(mysqlwork.Insert, number, "failed", turn); err != nil {
		return err
	}
	var n int
	if err := mysqlwork.Failing(tx.QueryRow(mysqlwork.Nowhere).Scan(&n), counts); err != nil {
		return err
	}
	return tx.Rollback()
}

func batch(db *sql.DB, number, _ int, _ work.Counts) error {
	return inTransaction(db, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(mysqlwork.Insert)
		if err != nil {
			return err
		}
		defer insert.Close()
		for n := range work.Batch {
			if _, err := insert.Exec(number, "batch", n); err != nil {
				return err
			}
		}
		return nil
	})
}

// Any statement may be any connection's.
func autocommit(db *sql.DB, number, turn int, counts work.Counts) error {
	ctx := context.Background()
	connection, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	done, err := connection.ExecContext(ctx, mysqlwork.Insert, number, "autocommit", turn)
	if err != nil {
		return err
	}
	id, err := done.LastInsertId()
	if err != nil {
		return err
	}
	var last int64
	err = connection.QueryRowContext(ctx, "SELECT LAST_INSERT_ID()").Scan(&last)
	if last == id {
		counts["id told"]++
	}
	return err
}

func row(db *sql.DB, number, _ int, counts work.Counts) error {
	found := mysqlwork.New(number)
	done, err := db.Exec(typed, number, found.Nothing, found.Words, found.Amount, found.Moment, found.Big)
	if err != nil {
		return err
	}
	id, err := done.LastInsertId()
	if err != nil {
		return err
	}
	var read mysqlwork.Typed
	err = db.QueryRow(back, id).Scan(&read.Nothing, &read.Words, &read.Amount, &read.Moment, &read.Big)
	counts[read.Told()]++
	return err
}
