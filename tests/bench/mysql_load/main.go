// Load for MySQL and MariaDB, as pgbench is one for PostgreSQL: clients of two threads that ask one
// thing over and over, on connections of their own. `tests/bench/mysql_run.py` runs it and reads
// the one line of JSON that it prints.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

const question = "SELECT 1"

var (
	address  = flag.String("address", "", "host:port")
	user     = flag.String("user", "", "whose password is in MYSQL_PWD")
	database = flag.String("database", "", "where clients are")
	clients  = flag.Int("clients", 1, "how many there are")
	seconds  = flag.Float64("seconds", 0, "how long they ask, once all are there")
	count    = flag.Int("count", 0, "how often each asks, instead")
	prepared = flag.Bool("prepared", false, "ask by a statement that each client has prepared")
	useTLS   = flag.Bool("tls", false, "encrypt; the certificate isn't looked at, as pgbench's isn't")
	mode     = flag.String("mode", "ask", "ask; login: a connection for each question; idle: stay")
	sets     = flag.Bool("sets", false, "idle clients have settings and statements")
)

// report is what one run did; latencies are in µs, one for each question or log-in.
type report struct {
	Done      int     `json:"done"`
	Seconds   float64 `json:"seconds"`
	Latencies []int64 `json:"latencies"`
}

func main() {
	flag.Parse()
	// pgbench has two threads here too.
	runtime.GOMAXPROCS(2)
	run := map[string]func(driver.Connector) (report, error){
		"ask": ask, "login": logIn, "idle": idle,
	}[*mode]
	connector, err := mysql.NewConnector(configuration())
	if err == nil && run == nil {
		err = fmt.Errorf("no mode %q", *mode)
	}
	var told report
	if err == nil {
		told, err = run(connector)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(told)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func configuration() *mysql.Config {
	found := mysql.NewConfig()
	found.Net, found.Addr, found.DBName = "tcp", *address, *database
	found.User, found.Passwd = *user, os.Getenv("MYSQL_PWD")
	if *useTLS {
		found.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	return found
}

// ask has all clients connect, and then begin at once.
func ask(connector driver.Connector) (report, error) {
	connections, err := connect(connector, *clients)
	if err != nil {
		return report{}, err
	}
	defer closeAll(connections)
	questions := make([]func() error, len(connections))
	for i, connection := range connections {
		if questions[i], err = asking(connection); err != nil {
			return report{}, err
		}
	}
	begun := time.Now()
	end := begun.Add(time.Duration(*seconds * float64(time.Second)))
	times := make([][]int64, len(questions))
	failures := make([]error, len(questions))
	var all sync.WaitGroup
	for i, question := range questions {
		all.Add(1)
		go func() {
			defer all.Done()
			times[i], failures[i] = repeat(question, end)
		}()
	}
	all.Wait()
	told := report{Seconds: time.Since(begun).Seconds()}
	for _, one := range times {
		told.Done += len(one)
		told.Latencies = append(told.Latencies, one...)
	}
	return told, errors.Join(failures...)
}

// repeat asks until the end, or so often as `count` says; what comes back is how long each took.
func repeat(question func() error, end time.Time) ([]int64, error) {
	times := make([]int64, 0, 1<<16)
	now := time.Now()
	for len(times) < *count || *count == 0 && now.Before(end) {
		if err := question(); err != nil {
			return times, err
		}
		done := time.Now()
		times = append(times, done.Sub(now).Microseconds())
		now = done
	}
	return times, nil
}

// logIn connects, asks once and leaves, one after the other.
func logIn(connector driver.Connector) (report, error) {
	begun := time.Now()
	once := func() error {
		connections, err := connect(connector, 1)
		if err != nil {
			return err
		}
		defer closeAll(connections)
		question, err := asking(connections[0])
		if err != nil {
			return err
		}
		return question()
	}
	times, err := repeat(once, begun.Add(time.Duration(*seconds*float64(time.Second))))
	return report{len(times), time.Since(begun).Seconds(), times}, err
}

// idle has clients that each asked three questions stay until stdin is closed, and says when all
// are there.
func idle(connector driver.Connector) (report, error) {
	connections, err := connect(connector, *clients)
	if err != nil {
		return report{}, err
	}
	defer closeAll(connections)
	for number, connection := range connections {
		if err := settle(connection, number); err != nil {
			return report{}, err
		}
	}
	fmt.Println("all are there")
	_, err = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return report{Done: len(connections)}, err
}

// settle does what a client does before it waits, five settings of its own and three statements
// among it if it has state.
func settle(connection driver.Conn, number int) error {
	for range 3 {
		if err := text(connection, question); err != nil {
			return err
		}
	}
	if !*sets {
		return nil
	}
	for place, name := range []string{
		"sort_buffer_size", "join_buffer_size", "net_read_timeout", "net_write_timeout", "wait_timeout",
	} {
		value := 300_000 + number%5_000
		if place > 1 {
			value = 1_000 + number
		}
		if err := text(connection, fmt.Sprintf("SET %s = %d", name, value)); err != nil {
			return err
		}
	}
	for _, statement := range []string{question, "SELECT ? + 1", "SELECT ?"} {
		if _, err := connection.Prepare(statement); err != nil {
			return err
		}
	}
	return nil
}

func connect(connector driver.Connector, wanted int) ([]driver.Conn, error) {
	found := make([]driver.Conn, 0, wanted)
	for range wanted {
		connection, err := connector.Connect(context.Background())
		if err != nil {
			closeAll(found)
			return nil, err
		}
		found = append(found, connection)
	}
	return found, nil
}

func closeAll(connections []driver.Conn) {
	for _, connection := range connections {
		connection.Close()
	}
}

// asking is how a client asks: by text, or by a statement that it prepares now.
func asking(connection driver.Conn) (func() error, error) {
	if !*prepared {
		return func() error { return text(connection, question) }, nil
	}
	statement, err := connection.Prepare(question)
	if err != nil {
		return nil, err
	}
	asker := statement.(driver.StmtQueryContext)
	return func() error {
		rows, err := asker.QueryContext(context.Background(), nil)
		return drained(rows, err)
	}, nil
}

func text(connection driver.Conn, statement string) error {
	rows, err := connection.(driver.QueryerContext).QueryContext(
		context.Background(), statement, nil)
	return drained(rows, err)
}

func drained(rows driver.Rows, err error) error {
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for err == nil {
		err = rows.Next(row)
	}
	if err != io.EOF {
		return err
	}
	return rows.Close()
}
