"""Parquet, batch by batch."""

from keras_vngpt.data.tables import column_name


def read_parquet(path, faults, summary):
    """`(place, record)` of a Parquet file; arguments as for `read_records`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = [column_name(name) for name in file.schema_arrow.names]
            if len(set(names)) < len(names):
                faults.append(f"{path}: two columns have one name: {', '.join(names)}")
                return
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    row += 1
                    if all(value is None or value == "" for value in values):
                        summary.passed_over["empty rows"] += 1
                    else:
                        yield f"{path}:{row}", dict(zip(names, values, strict=True))
            if not row:
                faults.append(f"{path}: the file is empty")
    except pa.ArrowException as error:
        faults.append(f"{path}: not valid Parquet ({str(error).splitlines()[0]})")
