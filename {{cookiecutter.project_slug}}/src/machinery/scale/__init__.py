"""scale: the work of stages and commands on a Dask cluster, where a setting names one."""
