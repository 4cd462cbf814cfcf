module onelog

go 1.23
