"""Run the work of stages and commands on a Dask cluster, if a setting names one."""
