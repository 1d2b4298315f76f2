// Package mysqlwork is what the Go programs for MySQL and MariaDB share besides: their SQL, and a row of every type.
package mysqlwork

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"drivers/work"

	"github.com/go-sql-driver/mysql"
)

const (
	Asked     = "SELECT ? + 1 AS asked, ? AS words"
	Insert    = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)"
	ByID      = "SELECT value FROM work WHERE id = ?"
	Nowhere   = "SELECT * FROM nowhere"
	BigResult = "SELECT n, repeat('x', 100) FROM numbers ORDER BY n"
	Kept      = "SELECT kind, count(*), sum(value) FROM work WHERE client = ? GROUP BY kind"

	letters = "zażółć 🐬 "
)

// BigText has more than 64 KiB, in more than one byte a letter.
var BigText = strings.Repeat(letters, 6000)

// Typed is a row of every type that isn't a plain number.
type Typed struct {
	ID      int64
	Client  int
	Nothing *int
	Words   string
	Amount  string
	Moment  time.Time
	Big     string
}

// TableName is what gorm asks for.
func (Typed) TableName() string { return "typed" }

// New is such a row.
func New(number int) Typed {
	moment := time.Date(2026, 1, 1, 12, 30, 0, 123_456_000, time.UTC)
	return Typed{Client: number, Words: letters, Amount: "12345678901234.5678", Moment: moment, Big: BigText}
}

// Told is that row as the driver gave it back.
func (row Typed) Told() string {
	moment := row.Moment.Format(time.RFC3339Nano)
	return fmt.Sprint(row.Nothing == nil, row.Words, row.Amount, " ", moment, row.Big == BigText)
}

// Config is the driver's default one, but for what it is to connect to.
func Config() *mysql.Config {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort(os.Getenv("MYSQL_HOST"), os.Getenv("MYSQL_TCP_PORT"))
	config.User = os.Getenv("MYSQL_USER")
	config.Passwd = os.Getenv("MYSQL_PWD")
	config.DBName = os.Getenv("MYSQL_DATABASE")
	// Else it reads no moments.
	config.ParseTime = true
	return config
}

// Failing counts the database's error; anything else ends the client.
func Failing(err error, counts work.Counts) error {
	var told *mysql.MySQLError
	if !errors.As(err, &told) {
		return fmt.Errorf("no such table is missing: %w", err)
	}
	counts[fmt.Sprint("error ", told.Number)]++
	return nil
}

// Keep counts what is left of a client's work.
func Keep(rows *sql.Rows, counts work.Counts) error {
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

// Sum counts a big result.
func Sum(rows *sql.Rows, counts work.Counts) error {
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
