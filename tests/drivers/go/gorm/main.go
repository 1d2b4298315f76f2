// gorm over go-sql-driver.
package main

import (
	"errors"

	"drivers/mysqlwork"
	"drivers/work"

	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

var errUndone = errors.New("undone")

// Work is a row of the table that all programs write.
type Work struct {
	ID     int64
	Client int
	Kind   string
	Value  int
}

// TableName is what gorm asks for.
func (Work) TableName() string { return "work" }

func main() {
	quiet := &gorm.Config{Logger: logger.Discard}
	db, err := gorm.Open(mysql.Open(mysqlwork.Config().FormatDSN()), quiet)
	if err != nil {
		panic(err)
	}
	pool, err := db.DB()
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	pool.SetMaxIdleConns(work.Clients)
	work.Run("gorm", "gorm.io/gorm", func(number int, counts work.Counts) error {
		for turn := range work.Rounds {
			if err := round(db, number, turn, counts); err != nil {
				return err
			}
		}
		rows, err := db.Raw(mysqlwork.Kept, number).Rows()
		if err != nil {
			return err
		}
		return mysqlwork.Keep(rows, counts)
	})
}

func round(db *gorm.DB, number, turn int, counts work.Counts) error {
	var asked struct {
		Asked int
		Words string
	}
	if err := db.Raw(mysqlwork.Asked, turn, "é").Scan(&asked).Error; err != nil {
		return err
	}
	counts["parameters"] += asked.Asked + len(asked.Words)
	if err := mysqlwork.Failing(db.Exec(mysqlwork.Nowhere).Error, counts); err != nil {
		return err
	}
	made := Work{Client: number, Kind: "commit", Value: turn}
	if err := db.Create(&made).Error; err != nil {
		return err
	}
	var found Work
	if err := db.First(&found, made.ID).Error; err != nil {
		return err
	}
	counts["by id"] += found.Value
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&Work{Client: number, Kind: "failed", Value: turn}).Error; err != nil {
			return err
		}
		if err := mysqlwork.Failing(tx.Exec(mysqlwork.Nowhere).Error, counts); err != nil {
			return err
		}
		return errUndone
	})
	if !errors.Is(err, errUndone) {
		return err
	}
	batch := make([]Work, work.Batch)
	for n := range batch {
		batch[n] = Work{Client: number, Kind: "batch", Value: n}
	}
	if err := db.Create(&batch).Error; err != nil {
		return err
	}
	row := mysqlwork.New(number)
	if err := db.Create(&row).Error; err != nil {
		return err
	}
	var read mysqlwork.Typed
	if err := db.First(&read, row.ID).Error; err != nil {
		return err
	}
	counts[read.Told()]++
	update := db.Model(&Work{}).Where("client = ? AND value = 1", number).Update("value", 0)
	counts["updated"] += int(update.RowsAffected)
	if update.Error != nil {
		return update.Error
	}
	rows, err := db.Raw(mysqlwork.BigResult).Rows()
	if err != nil {
		return err
	}
	return mysqlwork.Sum(rows, counts)
}
