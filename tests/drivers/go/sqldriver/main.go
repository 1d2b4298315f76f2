package main

import (
	_ "github.com/go-sql-driver/mysql"
	_ "gorm.io/driver/mysql"
	_ "gorm.io/gorm"
)

func main() {}
